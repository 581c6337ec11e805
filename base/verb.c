/* SPDX-License-Identifier: Apache-2.0 */
/* base/verb.c - one table, four uses: parsing, help, completion, and the test that the man page agrees. */
#include "base/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_of(const struct sf_option *option, const struct sf_verb *verb)
{
        return !option->verb || (verb && strcmp(option->verb, verb->name) == 0);
}

/* verb: NULL where none was read yet. */
static const struct sf_option *find_option(const struct sf_program *program, const struct sf_verb *verb,
                                           const char *name, size_t len)
{
        for (const struct sf_option *o = program->options; o->name; o++)
                if (strlen(o->name) == len && strncmp(o->name, name, len) == 0 && is_of(o, verb))
                        return o;
        return NULL;
}

static const struct sf_option *find_letter(const struct sf_program *program, char letter)
{
        for (const struct sf_option *o = program->options; o->name; o++)
                if (o->letter == letter)
                        return o;
        return NULL;
}

static bool is_listed(const char *const *names, const char *name)
{
        for (size_t i = 0; names && names[i]; i++)
                if (strcmp(names[i], name) == 0)
                        return true;
        return false;
}

static const struct sf_verb *find_verb(const struct sf_program *program, const char *name)
{
        for (const struct sf_verb *v = program->verbs; v->name; v++)
                if (strcmp(v->name, name) == 0)
                        return v;
        return NULL;
}

/* --- help ------------------------------------------------------------------------------------------------------ */

static void print_option(struct sf_buffer *out, const struct sf_option *o)
{
        char left[64];
        char letter[5] = "    ";

        if (o->letter)
                snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        sf_buffer_printf(out, NULL, "  %-28s %s\n", left, o->help);
}

static void print_listed_options(struct sf_buffer *out, const struct sf_program *program, const struct sf_verb *verb,
                                 const char *const *names)
{
        for (const struct sf_option *o = program->options; o->name; o++)
                if (is_listed(names, o->name) && is_of(o, verb))
                        print_option(out, o);
}

static void print_program_help(struct sf_buffer *out, const struct sf_program *program)
{
        sf_buffer_printf(out, NULL, "%s %s - %s\n\nUsage: %s [OPTION]... VERB [ARGUMENT]...\n\nVerbs:\n", program->name,
                         program->version, program->summary, program->name);
        for (const struct sf_verb *v = program->verbs; v->name; v++) {
                char left[64];
                snprintf(left, sizeof left, "%s %s", v->name, v->synopsis);
                sf_buffer_printf(out, NULL, "  %-28s %s\n", left, v->help);
        }
        sf_buffer_printf(out, NULL, "\nOptions for every verb:\n");
        print_listed_options(out, program, NULL, program->global_options);
        sf_buffer_printf(out, NULL,
                         "      --help                   this text, or a verb's own\n"
                         "      --version                the version of the program\n");
}

static void print_verb_help(struct sf_buffer *out, const struct sf_program *program, const struct sf_verb *verb)
{
        sf_buffer_printf(out, NULL, "Usage: %s [OPTION]... %s%s%s\n\n%s\n", program->name, verb->name,
                         *verb->synopsis ? " " : "", verb->synopsis, verb->help);
        if (verb->options && verb->options[0]) {
                sf_buffer_printf(out, NULL, "\nOptions of this verb:\n");
                print_listed_options(out, program, verb, verb->options);
        }
        sf_buffer_printf(out, NULL, "\nOptions for every verb:\n");
        print_listed_options(out, program, NULL, program->global_options);
}

static void print_names(struct sf_buffer *out, const struct sf_program *program, const char *const *names)
{
        for (const struct sf_option *o = program->options; o->name; o++)
                if (is_listed(names, o->name))
                        sf_buffer_printf(out, NULL, " --%s", o->name);
}

/* A function of its own for each program: "_sf_node". */
static void name_function(const struct sf_program *program, char out[32])
{
        snprintf(out, 32, "_%s", program->name);
        for (char *c = out; *c; c++)
                if (*c == '-')
                        *c = '_';
}

/* Names for the argument, asked of the program itself; none where it fails. */
static void print_argument(struct sf_buffer *out, const struct sf_program *program, const struct sf_verb *verb)
{
        const char *synopsis = verb->synopsis + (*verb->synopsis == '[');

        for (const struct sf_verb_names *n = program->names; n && n->synopsis; n++)
                if (strncmp(synopsis, n->synopsis, strlen(n->synopsis)) == 0)
                        sf_buffer_printf(out, NULL,
                                         "; [[ $word = -* ]] || "
                                         "set -- \"$@\" $(\"${COMP_WORDS[0]}\" list %s 2>/dev/null)",
                                         n->options);
}

/* For bash, and for zsh with bashcompinit. */
static void print_completion(struct sf_buffer *out, const struct sf_program *program)
{
        char function[32];

        name_function(program, function);
        sf_buffer_printf(out, NULL, "# completion for %s, made by '%s --completion'\n%s()\n{\n", program->name,
                         program->name, function);
        sf_buffer_printf(out, NULL,
                         "        local word=${COMP_WORDS[COMP_CWORD]} verb= i\n"
                         "        for ((i = 1; i < COMP_CWORD; i++)); do\n                case ${COMP_WORDS[i]} in\n");
        for (const struct sf_verb *v = program->verbs; v->name; v++)
                sf_buffer_printf(out, NULL, "                %s) verb=%s ;;\n", v->name, v->name);
        sf_buffer_printf(out, NULL, "                esac\n        done\n        case $verb in\n");
        for (const struct sf_verb *v = program->verbs; v->name; v++) {
                sf_buffer_printf(out, NULL, "        %s) set --", v->name);
                print_names(out, program, v->options);
                print_argument(out, program, v);
                sf_buffer_printf(out, NULL, " ;;\n");
        }
        sf_buffer_printf(out, NULL, "        *) set --");
        for (const struct sf_verb *v = program->verbs; v->name; v++)
                sf_buffer_printf(out, NULL, " %s", v->name);
        sf_buffer_printf(out, NULL, " ;;\n        esac\n        set -- \"$@\"");
        print_names(out, program, program->global_options);
        sf_buffer_printf(out, NULL,
                         " --help --version\n        COMPREPLY=($(compgen -W \"$*\" -- \"$word\"))\n}\n"
                         "complete -o default -F %s %s\n",
                         function, program->name);
}

/* --- parsing --------------------------------------------------------------------------------------------------- */

/* argv being walked. */
struct walk {
        const struct sf_program *program;
        int argc, at;
        char **argv;
        bool help;
        struct sf_command_line *line;
};

static int add_value(struct walk *w, const struct sf_option *option, const char *value, struct sf_error *err)
{
        if (!option->repeats && sf_option_given(w->line, option->name))
                return sf_error_set(err, SF_ERR_USAGE, "option --%s is given twice", option->name);
        if (option->argument && !value) {
                if (w->at + 1 >= w->argc)
                        return sf_error_set(err, SF_ERR_USAGE, "option --%s needs %s", option->name, option->argument);
                value = w->argv[++w->at];
        }
        /* A script's variable that was never set: "--root=" would be this host. */
        if (option->argument && !*value)
                return sf_error_set(err, SF_ERR_USAGE, "option --%s was given an empty %s", option->name,
                                    option->argument);
        w->line->values[w->line->value_count++] = (struct sf_option_value){ option, value };
        return 0;
}

static int take_long(struct walk *w, const char *text, struct sf_error *err)
{
        const char *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : strlen(text);

        if (strcmp(text, "help") == 0) {
                w->help = true;
                return 0;
        }
        if (strcmp(text, "version") == 0) {
                sf_buffer_printf(&w->line->text, NULL, "%s %s\n", w->program->name, w->program->version);
                return 1;
        }
        if (strcmp(text, "completion") == 0) {
                print_completion(&w->line->text, w->program);
                return 1;
        }
        const struct sf_option *option = find_option(w->program, w->line->verb, text, len);
        if (!option)
                return sf_error_set(err, SF_ERR_USAGE, "unknown option --%.*s%s", (int)len, text,
                                    w->line->verb ? "" : " before the verb");
        if (equals && !option->argument)
                return sf_error_set(err, SF_ERR_USAGE, "option --%s takes no value", option->name);
        return add_value(w, option, equals ? equals + 1 : NULL, err);
}

static int take_letters(struct walk *w, const char *letters, struct sf_error *err)
{
        for (; *letters; letters++) {
                const struct sf_option *option = find_letter(w->program, *letters);
                if (!option)
                        return sf_error_set(err, SF_ERR_USAGE, "unknown option -%c", *letters);
                /* The rest of the word is the value: -ofile. */
                const char *value = option->argument && letters[1] ? letters + 1 : NULL;
                int r = add_value(w, option, value, err);
                if (r < 0 || value)
                        return r;
        }
        return 0;
}

static int take_word(struct walk *w, const char *word, struct sf_error *err)
{
        if (w->line->verb) {
                w->line->arguments[w->line->argument_count++] = word;
                return 0;
        }
        w->line->verb = find_verb(w->program, word);
        if (!w->line->verb)
                return sf_error_set(err, SF_ERR_USAGE, "unknown verb '%s' (see %s --help)", word, w->program->name);
        return 0;
}

static int take_all(struct walk *w, struct sf_error *err)
{
        bool options_ended = false;

        for (w->at = 1; w->at < w->argc; w->at++) {
                const char *word = w->argv[w->at];
                int r;
                if (options_ended || word[0] != '-' || word[1] == '\0')
                        r = take_word(w, word, err);
                else if (strcmp(word, "--") == 0)
                        r = 0, options_ended = true;
                else if (word[1] == '-')
                        r = take_long(w, word + 2, err);
                else
                        r = take_letters(w, word + 1, err);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Every option must belong to the verb, and the number of arguments must fit. */
static int check(const struct walk *w, struct sf_error *err)
{
        const struct sf_command_line *line = w->line;
        const struct sf_verb *verb = line->verb;

        if (!verb)
                return sf_error_set(err, SF_ERR_USAGE, "a verb is needed (see %s --help)", w->program->name);
        for (size_t i = 0; i < line->value_count; i++) {
                const char *name = line->values[i].option->name;
                if (!is_listed(w->program->global_options, name) && !is_listed(verb->options, name))
                        return sf_error_set(err, SF_ERR_USAGE, "option --%s does not belong to '%s'", name, verb->name);
        }
        for (size_t i = 0; i < line->argument_count; i++)
                if (!*line->arguments[i])
                        return sf_error_set(err, SF_ERR_USAGE, "'%s' was given an empty argument", verb->name);
        if (line->argument_count < verb->min_arguments)
                return sf_error_set(err, SF_ERR_USAGE, "'%s' needs %s", verb->name, verb->synopsis);
        if (line->argument_count > verb->max_arguments)
                return sf_error_set(err, SF_ERR_USAGE, "'%s' does not take '%s'", verb->name,
                                    line->arguments[verb->max_arguments]);
        return 0;
}

int sf_verb_parse(const struct sf_program *program, int argc, char **argv, struct sf_command_line *ret,
                  struct sf_error *err)
{
        struct sf_command_line line = { 0 };
        size_t room = (size_t)(argc > 0 ? argc : 0) + 1, letters = 0;

        for (int i = 1; i < argc; i++)
                letters += strlen(argv[i]);
        line.arguments = calloc(room, sizeof *line.arguments);
        line.values = calloc(room + letters, sizeof *line.values);
        if (!line.arguments || !line.values) {
                sf_command_line_free(&line);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the command line");
        }
        struct walk w = { .program = program, .argc = argc, .argv = argv, .line = &line };
        int r = take_all(&w, err);
        if (r == 0 && w.help) {
                if (line.verb)
                        print_verb_help(&line.text, program, line.verb);
                else
                        print_program_help(&line.text, program);
                r = 1;
        }
        if (r == 0)
                r = check(&w, err);
        *ret = line;
        return r;
}

bool sf_verb_is_asked(const struct sf_program *program, int argc, char **argv, const char *name)
{
        const struct sf_verb *verb = NULL;

        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
                if (!verb && argv[i][0] != '-')
                        verb = find_verb(program, argv[i]);
                if (strncmp(argv[i], "--", 2) != 0)
                        continue;
                size_t len = strcspn(argv[i] + 2, "=");
                const struct sf_option *option = find_option(program, verb, argv[i] + 2, len);
                if (option && strcmp(option->name, name) == 0)
                        return true;
                /* The next word may be a value that looks like an option. */
                i += option && option->argument && !argv[i][2 + len];
        }
        return false;
}

void sf_command_line_free(struct sf_command_line *line)
{
        free(line->arguments);
        free(line->values);
        sf_buffer_free(&line->text);
        *line = (struct sf_command_line){ 0 };
}

const char *sf_option_next(const struct sf_command_line *line, const char *name, size_t *cursor)
{
        while (*cursor < line->value_count) {
                const struct sf_option_value *v = &line->values[(*cursor)++];
                if (strcmp(v->option->name, name) == 0)
                        return v->value ? v->value : "";
        }
        return NULL;
}

int sf_option_collect(const struct sf_command_line *line, const char *name, struct sf_words *ret, struct sf_error *err)
{
        const char *value;
        int r = 0;

        for (size_t cursor = 0; r == 0 && (value = sf_option_next(line, name, &cursor));)
                r = sf_words_append(ret, value, err);
        return r;
}

const char *sf_option_get(const struct sf_command_line *line, const char *name)
{
        const char *last = NULL, *value;

        for (size_t cursor = 0; (value = sf_option_next(line, name, &cursor));)
                last = value;
        return last;
}

bool sf_option_given(const struct sf_command_line *line, const char *name)
{
        return sf_option_get(line, name) != NULL;
}
