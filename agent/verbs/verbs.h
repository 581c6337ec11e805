/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/verbs.h - one function per verb of sf-node. Each returns the exit code and has said everything there is
 * to say.
 */
#ifndef SF_AGENT_VERBS_VERBS_H
#define SF_AGENT_VERBS_VERBS_H

#include "agent/node/config.h"
#include "base/verb.h"

int sf_verb_trust(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_list(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_install(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_upgrade(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_adopt(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_log(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_stage(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_recover(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_gc(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_doctor(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_activate(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_rollback(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_self_update(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_status(const struct sf_config *config, const struct sf_command_line *line);
int sf_verb_verify(const struct sf_config *config, const struct sf_command_line *line);

#endif
