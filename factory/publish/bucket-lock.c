/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket-lock.c - one publisher at a time, with nothing but objects and lists. See bucket.h. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/stop.h"
#include "factory/publish/bucket-state.h"

#define LOCKS    "lock/"
#define LOCK_AGE 3600 /* seconds; a holder writes its object anew before it pushes */
#define ATTEMPTS 4

/* Host names have letters that a key may not: what is not plain becomes '-'. */
static void host_name(char out[64])
{
        char name[256] = "unknown";

        gethostname(name, sizeof name - 1);
        snprintf(out, 64, "%.60s", name);
        for (char *c = out; *c; c++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.", *c))
                        *c = '-';
}

static int write_lock(struct sf_bucket *b, struct sf_error *err)
{
        char text[128];
        struct sf_s3_object object = {
                .key = b->lock, .data = text, .content_type = "text/plain", .cache_control = "no-store"
        };

        snprintf(text, sizeof text, "pid %ld at %lld\n", (long)getpid(), (long long)time(NULL));
        object.size = strlen(text);
        sf_digest_of(text, object.size, &object.digest);
        return sf_s3_put(b->s3, &object, err);
}

struct others {
        struct sf_bucket *bucket;
        bool ours;        /* our object is in the list */
        char *other;      /* one that somebody may hold */
        int64_t modified; /* of it */
};

/* lock/<host>-<pid>-<random>: of this host, and the process is gone? */
static bool is_dead(const char *key)
{
        char host[64];
        long pid;

        host_name(host);
        size_t length = strlen(host);
        const char *name = key + strlen(LOCKS);
        if (strncmp(name, host, length) != 0 || sscanf(name + length, "-%ld-", &pid) != 1)
                return false;
        return pid != (long)getpid() && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

static int visit_lock(void *ctx, const char *key, uint64_t size, int64_t modified, struct sf_error *err)
{
        struct others *o = ctx;
        int64_t age = (int64_t)time(NULL) - modified;

        (void)size;
        if (o->bucket->lock && strcmp(key, o->bucket->lock) == 0) {
                o->ours = true;
                return 0;
        }
        if (is_dead(key) || age > LOCK_AGE) {
                sf_log_warning("%s/%s: left by a publisher that is gone, deleted", o->bucket->options.url, key);
                return sf_s3_delete(o->bucket->s3, key, err);
        }
        free(o->other);
        o->other = strdup(key);
        o->modified = modified;
        return o->other ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a lock");
}

static int wait_a_little(struct sf_error *err)
{
        uint32_t dice = 0;

        getrandom(&dice, sizeof dice, GRND_NONBLOCK);
        for (unsigned i = 0; i < 5 + dice % 15; i++) {
                if (sf_stop_requested)
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
                nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
        }
        return 0;
}

static int try_lock(struct sf_bucket *b, struct others *o, struct sf_error *err)
{
        int r = write_lock(b, err);

        return r < 0 ? r : sf_s3_list(b->s3, LOCKS, visit_lock, o, err);
}

int sf_bucket_lock(struct sf_bucket *b, struct sf_error *err)
{
        uint64_t dice = (uint64_t)time(NULL);
        char host[64];

        host_name(host);
        getrandom(&dice, sizeof dice, GRND_NONBLOCK);
        b->lock = sf_format(LOCKS "%s-%ld-%016" PRIx64, host, (long)getpid(), dice);
        if (!b->lock)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a lock");
        for (unsigned attempt = 1;; attempt++) {
                struct others o = { .bucket = b };
                int r = try_lock(b, &o, err);
                _cleanup_free_ char *other = o.other;
                if (r == 0 && !other)
                        return o.ours ? 0
                                      : sf_error_set(err, SF_ERR_FAILED, "%s does not list what was just written",
                                                     b->options.url);
                sf_s3_delete(b->s3, b->lock, NULL);
                if (r == 0 && attempt == ATTEMPTS)
                        r = sf_error_set(err, SF_ERR_BUSY, "%s: somebody else is publishing, for %lld s: %s",
                                         b->options.url, (long long)time(NULL) - (long long)o.modified, other);
                if (r < 0 || (r = wait_a_little(err)) < 0) {
                        free(b->lock);
                        b->lock = NULL;
                        return r;
                }
        }
}

int sf_bucket_check_lock(struct sf_bucket *b, struct sf_error *err)
{
        struct others o = { .bucket = b };
        int r = sf_s3_list(b->s3, LOCKS, visit_lock, &o, err);
        _cleanup_free_ char *other = o.other;

        if (r == 0 && (!o.ours || other))
                r = sf_error_set(err, SF_ERR_BUSY, "%s: the lock was lost%s%s; nothing of this run shows, run it again",
                                 b->options.url, other ? " to " : "", other ? other : "");
        /* Its age counts from now on. */
        return r < 0 ? r : write_lock(b, err);
}

void sf_bucket_unlock(struct sf_bucket *b)
{
        struct sf_error err = SF_ERROR_INIT;

        if (b->lock && sf_s3_delete(b->s3, b->lock, &err) < 0)
                sf_log_warning("the lock stays: %s", err.text);
        free(b->lock);
        b->lock = NULL;
}
