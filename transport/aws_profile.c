/* SPDX-License-Identifier: Apache-2.0 */
/* transport/aws_profile.c - see aws_profile.h. The file format is the AWS command line's: [sections], name = value,
 * '#' or ';' starts a comment line, indented lines belong to a nested setting and are skipped. */
#include "transport/aws_profile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define FILE_MAX (1u << 20)

static const struct {
        const char *name;
        const char *variable, *variable2;
        size_t offset;
} settings[] = {
        { "aws_access_key_id", "AWS_ACCESS_KEY_ID", NULL, offsetof(struct sf_aws_profile, access_key) },
        { "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", NULL, offsetof(struct sf_aws_profile, secret_key) },
        { "aws_session_token", "AWS_SESSION_TOKEN", NULL, offsetof(struct sf_aws_profile, token) },
        { "region", "AWS_REGION", "AWS_DEFAULT_REGION", offsetof(struct sf_aws_profile, region) },
        { "endpoint_url", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", offsetof(struct sf_aws_profile, endpoint) },
};
#define SETTINGS (sizeof settings / sizeof *settings)

static char **place(struct sf_aws_profile *profile, size_t setting)
{
        return (char **)(void *)((char *)profile + settings[setting].offset);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for AWS settings");
}

static int set(struct sf_aws_profile *profile, size_t setting, const char *value, struct sf_error *err)
{
        char **to = place(profile, setting);

        if (*to || !value || !*value) /* the first place that says something wins */
                return 0;
        *to = strdup(value);
        return *to ? 0 : no_memory(err);
}

static int take_environment(struct sf_aws_profile *profile, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < SETTINGS; i++) {
                r = set(profile, i, getenv(settings[i].variable), err);
                if (r == 0 && settings[i].variable2)
                        r = set(profile, i, getenv(settings[i].variable2), err);
        }
        return r;
}

static char *trim(char *text)
{
        size_t len;

        text += strspn(text, " \t\r");
        len = strlen(text);
        while (len > 0 && strchr(" \t\r", text[len - 1]))
                text[--len] = '\0';
        return text;
}

/* "[default]", "[name]" in credentials, "[profile name]" in config. */
static bool is_section(char *line, const char *profile)
{
        char *end = strchr(line, ']');

        if (!end)
                return false;
        *end = '\0';
        char *name = trim(line + 1);
        if (strncmp(name, "profile ", 8) == 0)
                name = trim(name + 8);
        return strcmp(name, profile) == 0;
}

/* From the wanted section of one file; keys only as a whole, so that an access key never meets another one's secret. */
static int take_lines(struct sf_aws_profile *profile, char *text, const char *name, bool keys, struct sf_error *err)
{
        bool inside = false;
        char *rest = text;

        for (char *line; (line = strsep(&rest, "\n"));) {
                if (*line == '[')
                        inside = is_section(line, name);
                if (!inside || *line == ' ' || *line == '\t' || *line == '#' || *line == ';' || *line == '[')
                        continue;
                char *value = strchr(line, '=');
                if (!value)
                        continue;
                *value++ = '\0';
                for (size_t i = 0; i < SETTINGS; i++) {
                        int r = 0;
                        if (strcmp(trim(line), settings[i].name) == 0 && (keys || i > 2))
                                r = set(profile, i, trim(value), err);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int take_file(struct sf_aws_profile *profile, const char *variable, const char *usual, struct sf_error *err)
{
        const char *configured = getenv(variable), *home = getenv("HOME"), *name = getenv("AWS_PROFILE");
        _cleanup_free_ char *path = configured ? strdup(configured) : sf_format("%s/.aws/%s", home ? home : "", usual);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        bool keys = !profile->access_key && !profile->secret_key;
        int r;

        if (!path)
                return no_memory(err);
        if (!sf_fs_exists(path))
                return 0;
        if ((r = sf_fs_read(path, FILE_MAX, &text, err)) < 0 || text.len == 0)
                return r;
        return take_lines(profile, (char *)text.data, name && *name ? name : "default", keys, err);
}

int sf_aws_profile_load(struct sf_aws_profile *ret, struct sf_error *err)
{
        _cleanup_(sf_aws_profile_free) struct sf_aws_profile profile = { 0 };
        int r = take_environment(&profile, err);

        if (r == 0)
                r = take_file(&profile, "AWS_SHARED_CREDENTIALS_FILE", "credentials", err);
        if (r == 0)
                r = take_file(&profile, "AWS_CONFIG_FILE", "config", err);
        if (r < 0)
                return r;
        if (!profile.access_key || !profile.secret_key)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "no AWS keys: looked for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then for the "
                                    "profile %s in ~/.aws/credentials and ~/.aws/config",
                                    getenv("AWS_PROFILE") ? getenv("AWS_PROFILE") : "default");
        if (!profile.region && !(profile.region = strdup("us-east-1")))
                return no_memory(err);
        *ret = profile;
        profile = (struct sf_aws_profile){ 0 };
        return 0;
}

void sf_aws_profile_free(struct sf_aws_profile *profile)
{
        for (size_t i = 0; i < SETTINGS; i++)
                free(*place(profile, i));
        *profile = (struct sf_aws_profile){ 0 };
}
