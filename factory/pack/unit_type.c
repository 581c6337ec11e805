/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/unit_type.c - why: restarting a slurmd as the wrong type either hangs (notify) or hides its death
 * (simple). */
#include "factory/pack/unit_type.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/version.h"

static const char *const places[] = { "lib/systemd/system", "lib64/systemd/system", "share/systemd/system",
                                      "usr/lib/systemd/system", "etc/systemd/system" };

/* A unit file is not quite an INI file (values may run over lines), so only the one key is looked for. */
static const char *type_in(const char *text)
{
        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, "Type=notify", 11) == 0)
                        return "notify";
                if (strncmp(line, "Type=simple", 11) == 0)
                        return "simple";
        }
        return NULL;
}

int sf_unit_type_of(const char *tree, const char *version, char ret[16], struct sf_error *err)
{
        struct sf_version parsed;
        int r;

        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
                _cleanup_free_ char *path = sf_format("%s/%s/slurmd.service", tree, places[i]);
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                const char *type;

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
                if (!sf_fs_exists(path))
                        continue;
                r = sf_fs_read(path, 1u << 20, &text, err);
                if (r < 0)
                        return r;
                type = type_in(sf_buffer_text(&text));
                if (type) {
                        strcpy(ret, type);
                        return 0;
                }
        }
        r = sf_version_parse(version, &parsed, err);
        if (r == 0)
                strcpy(ret, parsed.major >= 23 ? "notify" : "simple");
        return r;
}
