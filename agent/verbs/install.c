/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/install.c - install, upgrade, adopt, stage, activate, rollback: one switch, of which each does a part. */
#include "agent/switch/self_update.h"
#include "agent/switch/switch.h"
#include "agent/verbs/verbs.h"

/* The verbs differ in which halves they do. */
int sf_verb_install(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = { .config = config,
                               .verb = "install",
                               .wanted = line->arguments[0],
                               .bytes = true,
                               .flip = !sf_option_given(line, "no-activate") };

        sf_self_update_follow(config, line);
        return sf_switch_run(&u);
}

static struct sf_switch upgrade(const struct sf_config *config, const char *verb, const struct sf_command_line *line)
{
        return (struct sf_switch){ .config = config,
                                   .verb = verb,
                                   .wanted = line->argument_count ? line->arguments[0] : NULL,
                                   .bytes = true,
                                   .flip = true,
                                   .restart = !config->no_restart };
}

int sf_verb_upgrade(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = upgrade(config, "upgrade", line);

        sf_self_update_follow(config, line);
        return sf_switch_run(&u);
}

int sf_verb_adopt(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = upgrade(config, "adopt", line);

        sf_self_update_follow(config, line);
        u.adopt = true;
        return sf_switch_run(&u);
}

int sf_verb_stage(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = { .config = config, .verb = "stage", .wanted = line->arguments[0], .bytes = true };

        sf_self_update_follow(config, line);
        return sf_switch_run(&u);
}

int sf_verb_activate(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = { .config = config,
                               .verb = "activate",
                               .wanted = line->arguments[0],
                               .flip = true,
                               .restart = !config->no_restart };

        return sf_switch_run(&u);
}

int sf_verb_rollback(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_switch u = {
                .config = config, .verb = "rollback", .flip = true, .restart = !config->no_restart, .back = true
        };

        (void)line;
        return sf_switch_run(&u);
}
