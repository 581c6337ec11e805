/* SPDX-License-Identifier: Apache-2.0 */
/* base/verb.h - a program's command line as one table, from which parsing, --help, the man page check and the shell
 * completion all come.
 */
#ifndef SF_BASE_VERB_H
#define SF_BASE_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/words.h"

/* One option. Long form only has a name ("root"), `letter` 0 where there is none. */
struct sf_option {
        const char *name; /* without "--" */
        char letter;
        const char *argument; /* "DIR", or NULL for a switch */
        const char *help;     /* one line, no full stop */
        bool repeats;         /* may be given more than once */
        const char *verb;     /* NULL, or the one verb of which this entry is: a name may mean different things, then
                               * it stands after the verb */
};

/* One value of the parsed command line. */
struct sf_option_value {
        const struct sf_option *option;
        const char *value; /* NULL for a switch */
};

struct sf_command_line {
        const struct sf_verb *verb;
        const char **arguments; /* what follows the verb, options taken out; owned by the command line */
        size_t argument_count;
        struct sf_option_value *values;
        size_t value_count;
        struct sf_buffer text; /* help, version or completion script, where that was asked for */
};

struct sf_verb {
        const char *name;
        const char *synopsis;                /* "VERSION", "[RELEASE]", "" */
        const char *help;                    /* one line */
        size_t min_arguments, max_arguments; /* SIZE_MAX = any number */
        const char *const *options;          /* names from the program's option table, NULL-terminated; may be NULL */
        int (*run)(void *ctx, const struct sf_command_line *line); /* returns the exit code */
};

struct sf_program {
        const char *name;
        const char *summary; /* one line */
        const char *version;
        const struct sf_option *options;   /* every option of the program, ended by name == NULL */
        const char *const *global_options; /* names valid before and after any verb, NULL-terminated */
        const struct sf_verb *verbs;       /* ended by name == NULL */
        /* For the completion: options of the verb `list` that print names for an argument, one a line; NULL-ended by a
         * NULL synopsis. NULL = arguments are not completed. */
        const struct sf_verb_names *names;
};

struct sf_verb_names {
        const char *synopsis; /* of the verbs whose argument it is: "VERSION" stands for "[VERSION]" too */
        const char *options;  /* "--names offered" */
};

/* Parses argv (options may stand anywhere, "--" ends them, "--name=value" and "--name value" are the same). --help,
 * --version and --completion are handled here. Returns 0; 1 where ret->text is all that was asked for; SF_ERR_USAGE
 * otherwise, with as much in *ret as was understood. *ret is to be freed in every case. */
int sf_verb_parse(const struct sf_program *program, int argc, char **argv, struct sf_command_line *ret,
                  struct sf_error *err);
void sf_command_line_free(struct sf_command_line *line);

/* The last value of an option ("" for a switch), NULL where it was not given. */
const char *sf_option_get(const struct sf_command_line *line, const char *name);
bool sf_option_given(const struct sf_command_line *line, const char *name);
/* The values of a repeating option one after the other; start with *cursor = 0; NULL at the end. */
const char *sf_option_next(const struct sf_command_line *line, const char *name, size_t *cursor);

/* Appends all of them. */
int sf_option_collect(const struct sf_command_line *line, const char *name, struct sf_words *ret, struct sf_error *err);

/* Does this switch stand in argv, whatever else is wrong there? */
bool sf_verb_is_asked(const struct sf_program *program, int argc, char **argv, const char *name);

#endif
