/* SPDX-License-Identifier: Apache-2.0 */
/* base/program.h - what main() does in both programs: command line, log and output, settings, verb.
 */
#ifndef SF_BASE_PROGRAM_H
#define SF_BASE_PROGRAM_H

#include "base/verb.h"

struct sf_program_calls {
        /* Reads the settings that the verb's run() gets as ctx. */
        int (*load)(void *ctx, const struct sf_command_line *line, struct sf_error *err);
        /* The command line or the settings are wrong: says so (with --json as an object) and returns the exit code.
         * verb is "" where none was understood; loading: the command line was fine. */
        int (*refuse)(const char *verb, bool loading, const struct sf_error *err);
};

/* Returns the exit code. The program has the options json, quiet and verbose. */
int sf_program_main(const struct sf_program *program, const struct sf_program_calls *calls, void *ctx, int argc,
                    char **argv);

#endif
