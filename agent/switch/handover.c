/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/handover.c - see handover.h. */
#include "agent/switch/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/acquire/own_program.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#define MARK         "SF_NODE_SECOND_HALF" /* in the environment of the second half */
#define LETTER_MAX   (64u << 10)
#define READY_MS     10000 /* for systemd to start it, on a busy node */
#define PIPE_BYTES   (1 << 20)
#define COMMAND_MAX  (128u << 10)
#define ARGUMENT_MAX 256
#define STOP_SECONDS 600 /* recovery may have to restart services, and wait for them */

extern char **environ;

/* One side's view of a second half. Descriptors are -1 once closed. */
struct link {
        int socket, out, errors; /* the caller's ends */
        int peer, peer_out, peer_errors;
};

static void close_one(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static void close_link(struct link *l)
{
        int *const all[] = { &l->socket, &l->out, &l->errors, &l->peer, &l->peer_out, &l->peer_errors };

        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                close_one(all[i]);
}

static int open_link(struct link *ret, struct sf_error *err)
{
        struct link l = { -1, -1, -1, -1, -1, -1 };
        int ends[2], out[2], errors[2];

        *ret = l;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return sf_error_errno(err, "cannot make a socket");
        l.socket = ends[0], l.peer = ends[1];
        if (pipe2(out, O_CLOEXEC) == 0)
                l.out = out[0], l.peer_out = out[1];
        if (pipe2(errors, O_CLOEXEC) == 0)
                l.errors = errors[0], l.peer_errors = errors[1];
        *ret = l;
        if (l.out < 0 || l.errors < 0)
                return sf_error_errno(err, "cannot make a pipe");
        (void)fcntl(l.out, F_SETPIPE_SZ, PIPE_BYTES);
        (void)fcntl(l.errors, F_SETPIPE_SZ, PIPE_BYTES);
        return 0;
}

static int send_letter(int socket, const json_t *letter, int lock, struct sf_error *err)
{
        _cleanup_free_ char *text = json_dumps(letter, JSON_COMPACT);
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };

        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a letter");
        struct iovec part = { text, strlen(text) };
        struct msghdr m = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof lock);
        memcpy(CMSG_DATA(c), &lock, sizeof lock);
        return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? sf_error_errno(err, "cannot send a letter") : 0;
}

/* --- starting it ----------------------------------------------------------------------------------------------- */

/* What this process was called with. */
static int read_command(struct sf_buffer *ret, char *argv[ARGUMENT_MAX], struct sf_error *err)
{
        size_t count = 0;
        int r = sf_fs_read("/proc/self/cmdline", COMMAND_MAX, ret, err);

        for (size_t at = 0; r == 0 && at < ret->len; at += strlen((char *)ret->data + at) + 1) {
                if (count + 1 == ARGUMENT_MAX)
                        return sf_error_set(err, SF_ERR_LIMIT, "more than %d arguments", ARGUMENT_MAX);
                argv[count++] = (char *)ret->data + at;
        }
        argv[count] = NULL;
        return r == 0 && !count ? sf_error_set(err, SF_ERR_UNSUPPORTED, "/proc does not tell the command line") : r;
}

static int start_service(const struct sf_handover *what, const struct link *l, struct sf_error *err)
{
        const struct sf_config *config = what->config;
        _cleanup_(sf_buffer_free) struct sf_buffer command = SF_BUFFER_INIT;
        char *argv[ARGUMENT_MAX], program[PATH_MAX], directory[PATH_MAX];
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        _cleanup_free_ char *bus_env = sf_format("DBUS_SYSTEM_BUS_ADDRESS=%s", address ? address : "");
        _cleanup_free_ char *prefix = sf_format("--prefix=%s", config->prefix);
        _cleanup_free_ char *toolchain = sf_format("--toolchain=%s", config->toolchain);
        _cleanup_free_ char *unit = sf_config_unit_name(config, SF_HANDOVER_UNIT);
        const char *env[] = { MARK "=1", "LC_ALL=C.UTF-8",
                              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                              address ? bus_env : NULL, NULL };
        _cleanup_free_ char *file = sf_format("--config=%s", config->file ? config->file : "");
        const char *post[] = { program, "-q", prefix, toolchain, "recover", config->file ? file : NULL, NULL };
        int r = sf_own_program_path(program, err);

        if (r == 0)
                r = read_command(&command, argv, err);
        if (r == 0 && (!bus_env || !prefix || !toolchain || !unit || !file))
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a service");
        if (r < 0)
                return r;
        argv[0] = program;
        /* Relative paths of the command line are meant from here. */
        if (!getcwd(directory, sizeof directory))
                strcpy(directory, "/");
        const struct sf_service_transient t = {
                .unit = unit,
                .description = "sf-node switches the Slurm release of this node",
                .directory = directory,
                .argv = (const char *const *)argv,
                .post = post,
                .env = env,
                .input = l->peer,
                .output = l->peer_out,
                .errors = l->peer_errors,
                .stop_seconds = what->patient ? 0 : STOP_SECONDS,
        };
        return sf_service_run_transient(what->bus, &t, err);
}

/* In a child of a child, so that nobody waits for it, in a session of its own. */
static void become_second(const struct link *l, char *const *argv)
{
        setsid();
        if (fork() != 0)
                _exit(0);
        if (dup2(l->peer, STDIN_FILENO) < 0 || dup2(l->peer_out, STDOUT_FILENO) < 0 ||
            dup2(l->peer_errors, STDERR_FILENO) < 0)
                _exit(127);
        execv("/proc/self/exe", argv);
        _exit(127);
}

static int start_session(const struct link *l, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer command = SF_BUFFER_INIT;
        char *argv[ARGUMENT_MAX];
        int r = access("/proc/self/exe", X_OK) < 0 ? sf_error_errno(err, "/proc/self/exe")
                                                   : read_command(&command, argv, err);

        if (r < 0)
                return r;
        /* Set here, not between fork and exec: memory may be locked there by another thread. */
        setenv(MARK, "1", 1);
        pid_t pid = fork();
        if (pid == 0)
                become_second(l, argv);
        unsetenv(MARK);
        if (pid < 0)
                return sf_error_errno(err, "cannot fork");
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

/* --- watching it ----------------------------------------------------------------------------------------------- */

/* Copies what there is; false at the end. */
static bool relay(int from, int to)
{
        char text[4096];
        ssize_t n = read(from, text, sizeof text);

        if (n <= 0)
                return n < 0 && errno == EINTR;
        for (ssize_t done = 0, w; done < n; done += w)
                if ((w = write(to, text + done, (size_t)(n - done))) <= 0) {
                        if (w < 0 && errno == EINTR)
                                w = 0;
                        else
                                break;
                }
        return true;
}

/* One word from the other side; "" where it has gone, or did not speak within limit_ms (-1 = none). */
static void hear(int socket, int limit_ms, char out[32])
{
        struct pollfd p = { socket, POLLIN, 0 };
        int ready;

        while ((ready = poll(&p, 1, limit_ms)) < 0 && errno == EINTR)
                ;
        ssize_t n = ready > 0 ? recv(socket, out, 31, 0) : -1;
        out[n > 0 ? n : 0] = '\0';
}

static bool say(int socket, const char *word)
{
        return send(socket, word, strlen(word), MSG_NOSIGNAL) == (ssize_t)strlen(word);
}

/* Until both outputs have ended; the code came before. */
static int watch(struct link *l, int *ret_code, struct sf_error *err)
{
        char word[32] = "";
        bool known = false;

        while (l->out >= 0 || l->errors >= 0 || !known) {
                struct pollfd p[] = { { l->out, POLLIN, 0 },
                                      { l->errors, POLLIN, 0 },
                                      { known ? -1 : l->socket, POLLIN, 0 } };
                if (poll(p, 3, -1) < 0 && errno != EINTR)
                        return sf_error_errno(err, "poll");
                if (p[0].revents && !relay(l->out, STDOUT_FILENO))
                        close_one(&l->out);
                if (p[1].revents && !relay(l->errors, STDERR_FILENO))
                        close_one(&l->errors);
                if (p[2].revents) {
                        hear(l->socket, 0, word);
                        known = true;
                }
        }
        if (!*word)
                return sf_error_set(err, SF_ERR_FAILED, "the process that switches was killed");
        *ret_code = atoi(word);
        return 0;
}

void sf_handover_shield(void)
{
        static const int signals[] = { SIGHUP,  SIGINT,  SIGTERM, SIGQUIT, SIGPIPE, SIGUSR1,
                                       SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU };

        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                signal(signals[i], SIG_IGN);
}

/* Started one way or the other, it says that it is ready. */
static int begin(const struct sf_handover *what, bool service, int lock, struct link *ret, struct sf_error *err)
{
        char word[32];
        int r = open_link(ret, err);

        if (r == 0)
                r = send_letter(ret->socket, what->letter, lock, err);
        if (r == 0)
                r = service ? start_service(what, ret, err) : start_session(ret, err);
        close_one(&ret->peer);
        close_one(&ret->peer_out);
        close_one(&ret->peer_errors);
        if (r == 0) {
                hear(ret->socket, READY_MS, word);
                if (strcmp(word, "ready") != 0)
                        r = sf_error_set(err, SF_ERR_UNSUPPORTED, "it did not say that it is ready");
        }
        if (r < 0)
                close_link(ret);
        return r;
}

int sf_handover_run(const struct sf_handover *what, int *lock, int *ret_code, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        struct link l;
        int r = SF_ERR_UNSUPPORTED;

        fflush(NULL);
        for (int service = what->bus ? 1 : 0; r < 0 && service >= 0; service--) {
                r = begin(what, service, *lock, &l, &why);
                if (r < 0)
                        sf_log_detail("the switch does not run as %s: %s",
                                      service ? "a service" : "a session of its own", why.text);
        }
        if (r < 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s", why.text);
        sf_handover_shield();
        if (!say(l.socket, "go")) {
                close_link(&l);
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "it went away at once");
        }
        /* The other process has it: whoever comes after that one's end shall find it free. */
        close_one(lock);
        r = watch(&l, ret_code, err);
        close_link(&l);
        return r;
}

/* --- in the second half ---------------------------------------------------------------------------------------- */

static int back_channel = -1;

bool sf_handover_is_second(void)
{
        return getenv(MARK) != NULL;
}

static int receive_letter(char text[LETTER_MAX], int *ret_lock, struct sf_error *err)
{
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec part = { text, LETTER_MAX - 1 };
        struct msghdr m = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
        };
        ssize_t n = recvmsg(STDIN_FILENO, &m, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

        if (n < 0)
                return sf_error_errno(err, "standard input is no letter");
        text[n] = '\0';
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
                return sf_error_set(err, SF_ERR_USAGE, "standard input is no letter with a lock");
        memcpy(ret_lock, CMSG_DATA(c), sizeof *ret_lock);
        return 0;
}

/* What is written to a caller who does not read is lost, and holds nobody up. */
static void let_go(void)
{
        int null = open("/dev/null", O_RDWR);

        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
                (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (null >= 0)
                (void)dup2(null, STDIN_FILENO);
        if (null > STDERR_FILENO)
                close(null);
        (void)!chdir("/");
}

int sf_handover_receive(json_t **ret_letter, int *ret_lock, struct sf_error *err)
{
        _cleanup_free_ char *text = malloc(LETTER_MAX);
        char word[32];

        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a letter");
        sf_handover_shield();
        unsetenv(MARK);
        int r = receive_letter(text, ret_lock, err);
        if (r < 0)
                return r;
        back_channel = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (!say(back_channel, "ready"))
                return sf_error_set(err, SF_ERR_INTERRUPTED, "the caller is gone");
        hear(back_channel, -1, word);
        if (strcmp(word, "go") != 0)
                return sf_error_set(err, SF_ERR_INTERRUPTED, "the caller is gone");
        let_go();
        return sf_json_parse("letter", text, strlen(text), ret_letter, err);
}

int sf_handover_finish(int code)
{
        char word[32];

        fflush(NULL);
        snprintf(word, sizeof word, "%d", code);
        if (back_channel >= 0)
                (void)say(back_channel, word);
        return code;
}
