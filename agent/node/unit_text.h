/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/unit_text.h - a unit as its files say it is: what systemd will use after its next daemon-reload.
 *
 * A switch ends with a daemon-reload, so what is loaded now is not what the restart will use where somebody edited a
 * drop-in without reloading. Reloading first would settle the question, but it is an act: a refused upgrade, or
 * --dry-run, would have loaded a KillMode that the next restart by anybody else obeys. So the files are read instead,
 * in systemd's order.
 *
 * systemd.unit(5), systemd.syntax(7): the unit file found first in the search path, then the *.conf files of all its
 * drop-in directories (those of the template and of "service.d" included) sorted by name, a name counting once. An
 * empty value takes back what was said before. Generated units are found where the generators put them.
 */
#ifndef SF_AGENT_NODE_UNIT_TEXT_H
#define SF_AGENT_NODE_UNIT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/words.h"

struct sf_unit_setting {
        const char *section, *key, *value; /* the value without white space around it */
        const char *file;                  /* without root */
};

struct sf_unit_text {
        const char *unit;
        const char *fragment;     /* the unit file, without root */
        bool masked;
        const char **drop_ins;    /* in the order of reading, NULL-terminated */
        size_t drop_in_count;
        struct sf_unit_setting *settings;
        size_t count;
        struct sf_pool *pool;     /* private; owns everything */
};

#define SF_UNIT_TEXT_INIT { 0 }

/* SF_ERR_NOT_FOUND: no file of this name. A masked unit has no settings. */
int sf_unit_text_load(const char *root, const char *unit, struct sf_unit_text *ret, struct sf_error *err);
void sf_unit_text_free(struct sf_unit_text *text);

/* The setting that counts, "" for one taken back; NULL where there is none. The pointer is to the last one of its
 * kind. */
const struct sf_unit_setting *sf_unit_text_get(const struct sf_unit_text *text, const char *section, const char *key);
/* Every value since the last empty one, in order: start with after = NULL. */
const struct sf_unit_setting *sf_unit_text_next(const struct sf_unit_text *text, const char *section, const char *key,
                                                const struct sf_unit_setting *after);
/* The value as systemd reads booleans, `otherwise` where it is none. */
bool sf_unit_text_bool(const char *value, bool otherwise);

/* The environment that the unit's processes begin with: Environment= and then the files of EnvironmentFile= (a
 * missing one is an error only to systemd), "NAME=value" each, later ones last. */
int sf_unit_text_environment(const struct sf_unit_text *text, const char *root, struct sf_words *ret,
                             struct sf_error *err);
/* The value of a variable in such an environment, NULL where it lacks it. */
const char *sf_unit_text_variable(const struct sf_words *environment, const char *name);
/* The words of the first ExecStart= as the process will see them: the program first, then its arguments (argv[0] of an
 * "@" command left out), with $VARIABLES of the environment and the common specifiers (%i %I %n %N %p %%) replaced. */
int sf_unit_text_command(const struct sf_unit_text *text, const struct sf_words *environment, struct sf_words *ret,
                         struct sf_error *err);

#endif
