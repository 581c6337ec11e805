/* SPDX-License-Identifier: Apache-2.0 */
/* base/program.c - see program.h. */
#include "base/program.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/output.h"

/* Help, version or completion script. */
static int show(const char *text)
{
        if (sf_output_is_json()) {
                _cleanup_json_ json_t *object = json_object();
                json_object_set_new(object, "result", json_string("done"));
                json_object_set_new(object, "text", sf_json_text(text));
                sf_output_json(object);
        } else {
                sf_output_text(text);
        }
        return 0;
}

int sf_program_main(const struct sf_program *program, const struct sf_program_calls *calls, void *ctx, int argc,
                    char **argv)
{
        _cleanup_(sf_command_line_free) struct sf_command_line line = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        sf_log_open(program->name, SF_LOG_NORMAL);
        sf_output_open(sf_verb_is_asked(program, argc, argv, "json"));
        int r = sf_verb_parse(program, argc, argv, &line, &err);
        if (r > 0)
                return show(sf_buffer_text(&line.text));
        if (r < 0)
                return calls->refuse(line.verb ? line.verb->name : "", false, &err);
        if (sf_option_given(&line, "quiet"))
                sf_log_open(program->name, SF_LOG_QUIET);
        else if (sf_option_given(&line, "verbose"))
                sf_log_open(program->name, SF_LOG_VERBOSE);
        r = calls->load(ctx, &line, &err);
        return r < 0 ? calls->refuse(line.verb->name, true, &err) : line.verb->run(ctx, &line);
}
