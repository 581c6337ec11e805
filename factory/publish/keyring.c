/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/keyring.c - which key files belong to a role. */
#include "factory/publish/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define URI_MAX 4096u

/* <role>.<digits><suffix> */
static bool is_key_of(const char *name, const char *role, const char *suffix)
{
        size_t head = strlen(role);

        if (strncmp(name, role, head) != 0 || name[head] != '.')
                return false;
        name += head + 1;
        size_t digits = strspn(name, "0123456789");
        return digits > 0 && strcmp(name + digits, suffix) == 0;
}

static int open_key(const char *path, bool is_uri, struct sf_signer **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct stat st;
        int r;

        if (!is_uri)
                return sf_signer_open(path, ret, err);
        if ((r = sf_fs_read(path, URI_MAX, &text, err)) < 0)
                return r;
        text.data[strcspn((char *)text.data, "\r\n")] = '\0';
        if (strcasestr((char *)text.data, "pin-value=") && (stat(path, &st) < 0 || (st.st_mode & 077)))
                return sf_error_set(err, SF_ERR_TRUST, "key %s: it holds a PIN and others may read it", path);
        return sf_signer_open(sf_buffer_text(&text), ret, err);
}

static int add_key(struct sf_keyring *ring, const char *directory, const char *name, bool is_uri, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(directory, name);
        _cleanup_signer_ struct sf_signer *signer = NULL;
        struct sf_keyring_key *grown;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for keys");
        if (open_key(path, is_uri, &signer, &ring->problem) < 0)
                return 0; /* remembered: another key may do */
        if (!(grown = reallocarray(ring->keys, ring->count + 1, sizeof *grown)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for keys");
        ring->keys = grown;
        ring->keys[ring->count++] = (struct sf_keyring_key){ sf_steal_pointer(path), sf_steal_pointer(signer) };
        return 0;
}

static int load_directory(struct sf_keyring *ring, const char *directory, const char *role, struct sf_error *err)
{
        struct dirent **names;
        int count = scandir(directory, &names, NULL, alphasort), r = 0;

        if (count < 0)
                return errno == ENOENT ? 0 : sf_error_errno(err, "keys in %s", directory);
        for (int i = 0; i < count; i++) {
                bool pem = is_key_of(names[i]->d_name, role, ".pem"), uri = is_key_of(names[i]->d_name, role, ".uri");
                if (r == 0 && (pem || uri))
                        r = add_key(ring, directory, names[i]->d_name, uri, err);
                free(names[i]);
        }
        free(names);
        return r;
}

int sf_keyring_load(const char *const *directories, const char *role, struct sf_keyring *ret, struct sf_error *err)
{
        struct sf_keyring ring = SF_KEYRING_INIT;

        for (; directories && *directories; directories++) {
                int r = load_directory(&ring, *directories, role, err);
                if (r < 0) {
                        sf_keyring_free(&ring);
                        return r;
                }
        }
        *ret = ring;
        return 0;
}

void sf_keyring_free(struct sf_keyring *ring)
{
        for (size_t i = 0; i < ring->count; i++) {
                free(ring->keys[i].path);
                sf_signer_free(ring->keys[i].signer);
        }
        free(ring->keys);
        *ring = (struct sf_keyring)SF_KEYRING_INIT;
}

const struct sf_keyring_key *sf_keyring_find(const struct sf_keyring *ring, const char *keyid)
{
        for (size_t i = 0; i < ring->count; i++)
                if (strcmp(sf_signer_keyid(ring->keys[i].signer), keyid) == 0)
                        return &ring->keys[i];
        return NULL;
}

int sf_keyring_new_path(const char *directory, const char *role, const char *suffix, char **ret, struct sf_error *err)
{
        static const char *const suffixes[] = { ".pem", ".uri", ".pem.retired", ".uri.retired" };

        for (unsigned n = 1;; n++) {
                bool used = false;
                for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && !used; i++) {
                        _cleanup_free_ char *path = sf_format("%s/%s.%u%s", directory, role, n, suffixes[i]);
                        used = path && sf_fs_exists(path);
                }
                if (!used) {
                        *ret = sf_format("%s/%s.%u%s", directory, role, n, suffix);
                        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                }
        }
}
