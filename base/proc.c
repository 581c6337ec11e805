/* SPDX-License-Identifier: Apache-2.0 */
/* base/proc.c - fork, exec, collect, give up in time. Used by the factory for builds and by the agent for the few
 * programs that only the site or the release has (scontrol, getent, hooks). */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#define OUTPUT_MAX_DEFAULT (1u << 20)

static const char *const minimal_environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/",
        "LC_ALL=C.UTF-8",
        NULL,
};

/* A child being watched. Pipe ends are -1 once closed. */
struct child {
        pid_t pid;
        int out, errors;
};

/* Where the child stands: namespaces, root, working directory. */
static int move_child(const struct sf_proc *proc)
{
        if (proc->no_network && unshare(CLONE_NEWNET) < 0)
                return -1;
        if (proc->root && *proc->root && (chroot(proc->root) < 0 || chdir("/") < 0))
                return -1;
        return proc->directory ? chdir(proc->directory) : 0;
}

/* In the child: nothing here may return. 127 says that the program could not be started, as a shell says it. */
static void become(const struct sf_proc *proc, int out, int errors, int report)
{
        static const int restored[] = { SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM };
        int null = open("/dev/null", O_RDONLY);
        sigset_t none;

        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        /* What a caller ignores for itself: a shell cannot even trap a signal that it was started with so. */
        for (size_t i = 0; i < sizeof restored / sizeof *restored; i++)
                signal(restored[i], SIG_DFL);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            dup2(errors, STDERR_FILENO) < 0 || move_child(proc) < 0) {
                dprintf(report, "%d", errno);
                _exit(127);
        }
        const char *const *env = proc->env ? proc->env : minimal_environment;
        /* execvpe searches the PATH of the environment it is called in. */
        for (size_t i = 0; env[i]; i++)
                if (strncmp(env[i], "PATH=", 5) == 0)
                        setenv("PATH", env[i] + 5, 1);
        execvpe(proc->argv[0], (char *const *)(uintptr_t)proc->argv, (char *const *)(uintptr_t)env);
        dprintf(report, "%d", errno);
        _exit(127);
}

/* What the child wrote into the close-on-exec pipe is the errno that kept it from running. */
static int check_started(int report, const char *name, struct sf_error *err)
{
        char text[16] = "";
        ssize_t n;

        do
                n = read(report, text, sizeof text - 1);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return 0;
        errno = atoi(text);
        return sf_error_errno(err, "cannot run %s", name);
}

static int start(const struct sf_proc *proc, int out, int errors, pid_t *ret, struct sf_error *err)
{
        int report[2];

        if (pipe2(report, O_CLOEXEC) < 0)
                return sf_error_errno(err, "cannot make a pipe for %s", proc->argv[0]);
        pid_t pid = fork();
        if (pid == 0)
                become(proc, out, errors, report[1]);
        close(report[1]);
        if (pid < 0) {
                close(report[0]);
                return sf_error_errno(err, "cannot fork for %s", proc->argv[0]);
        }
        setpgid(pid, pid);
        int r = check_started(report[0], proc->argv[0], err);
        close(report[0]);
        if (r < 0) {
                waitpid(pid, NULL, 0);
                return r;
        }
        *ret = pid;
        return 0;
}

/* Moves what is there from a pipe into a buffer; beyond the limit it is read and dropped. Closes at the end. */
static void drain(int *fd, struct sf_buffer *into, size_t max)
{
        char chunk[16384];
        ssize_t n = read(*fd, chunk, sizeof chunk);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                close(*fd);
                *fd = -1;
                return;
        }
        size_t room = into && into->len < max ? max - into->len : 0;
        if (room)
                sf_buffer_append(into, chunk, (size_t)n < room ? (size_t)n : room, NULL);
}

static bool asked_to_stop(const struct sf_proc *proc)
{
        return proc->stop && *proc->stop;
}

/* Waits for the child with its pipes being read. Returns the wait status, or -1 when the time was over or the caller
 * was asked to stop. */
static int watch(const struct sf_proc *proc, struct child *child)
{
        size_t max = proc->output_max ? proc->output_max : OUTPUT_MAX_DEFAULT;
        double deadline = proc->timeout_seconds ? sf_clock_seconds() + proc->timeout_seconds : 0;
        int status;

        for (;;) {
                struct pollfd fds[2] = { { child->out, POLLIN, 0 }, { child->errors, POLLIN, 0 } };
                bool open_pipes = child->out >= 0 || child->errors >= 0;
                poll(fds, 2, open_pipes ? 200 : 20);
                if (fds[0].revents)
                        drain(&child->out, proc->output, max);
                if (fds[1].revents)
                        drain(&child->errors, proc->errors ? proc->errors : proc->output, max);
                /* A grandchild may hold the pipes open for ever: the child's own end is what counts. */
                if (waitpid(child->pid, &status, WNOHANG) == child->pid)
                        break;
                if ((deadline > 0 && sf_clock_seconds() > deadline) || asked_to_stop(proc))
                        return -1;
                if (proc->tick)
                        proc->tick(proc->tick_ctx);
        }
        for (int i = 0; i < 1000 && child->out >= 0; i++) {
                struct pollfd last = { child->out, POLLIN, 0 };
                if (poll(&last, 1, 0) <= 0)
                        break;
                drain(&child->out, proc->output, max);
        }
        for (int i = 0; i < 1000 && child->errors >= 0; i++) {
                struct pollfd last = { child->errors, POLLIN, 0 };
                if (poll(&last, 1, 0) <= 0)
                        break;
                drain(&child->errors, proc->errors ? proc->errors : proc->output, max);
        }
        return status;
}

/* Politely first where that was asked for: make removes what it had half written. */
static void end_group(pid_t pid, bool politely)
{
        const struct timespec moment = { 0, 20000000 };

        if (politely)
                kill(-pid, SIGTERM);
        for (int i = 0; politely && i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
                nanosleep(&moment, NULL);
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static int result_of(const struct sf_proc *proc, int status, struct sf_error *err)
{
        if (WIFSIGNALED(status))
                return sf_error_set(err, SF_ERR_FAILED, "%s was killed by signal %d (%s)", proc->argv[0],
                                    WTERMSIG(status), strsignal(WTERMSIG(status)));
        return WEXITSTATUS(status);
}

/* Opens where the child writes: a log, or one pipe per wanted buffer. Child's ends in to_out and to_errors. */
static int open_outputs(const struct sf_proc *proc, struct child *child, int *to_out, int *to_errors,
                        struct sf_error *err)
{
        int out[2], errors[2];

        if (proc->log) {
                *to_out = open(proc->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
                if (*to_out < 0)
                        return sf_error_errno(err, "cannot open log %s", proc->log);
                *to_errors = fcntl(*to_out, F_DUPFD_CLOEXEC, 0);
                return *to_errors < 0 ? sf_error_errno(err, "cannot open log %s", proc->log) : 0;
        }
        if (pipe2(out, O_CLOEXEC) < 0)
                return sf_error_errno(err, "cannot make a pipe for %s", proc->argv[0]);
        child->out = out[0];
        *to_out = out[1];
        if (!proc->errors) {
                *to_errors = fcntl(out[1], F_DUPFD_CLOEXEC, 0);
                return *to_errors < 0 ? sf_error_errno(err, "cannot make a pipe for %s", proc->argv[0]) : 0;
        }
        if (pipe2(errors, O_CLOEXEC) < 0)
                return sf_error_errno(err, "cannot make a pipe for %s", proc->argv[0]);
        child->errors = errors[0];
        *to_errors = errors[1];
        return 0;
}

int sf_proc_run(const struct sf_proc *proc, struct sf_error *err)
{
        struct child child = { .pid = -1, .out = -1, .errors = -1 };
        int to_out = -1, to_errors = -1;
        int r = open_outputs(proc, &child, &to_out, &to_errors, err);

        if (r == 0)
                r = start(proc, to_out, to_errors, &child.pid, err);
        if (to_out >= 0)
                close(to_out);
        if (to_errors >= 0)
                close(to_errors);
        if (r == 0) {
                int status = watch(proc, &child);
                if (status == -1) {
                        bool stopped = asked_to_stop(proc);
                        end_group(child.pid, stopped);
                        r = stopped ? sf_error_set(err, SF_ERR_INTERRUPTED, "%s was interrupted", proc->argv[0])
                                    : sf_error_set(err, SF_ERR_TIMEOUT, "%s did not end within %u s", proc->argv[0],
                                                   proc->timeout_seconds);
                } else {
                        r = result_of(proc, status, err);
                }
        }
        if (child.out >= 0)
                close(child.out);
        if (child.errors >= 0)
                close(child.errors);
        return r;
}

/* --- the telling line ------------------------------------------------------------------------------------------ */

/* A line that names an error beats the last one, which is often make's summary. */
static bool is_telling(const char *line, size_t len)
{
        static const char *const signs[] = { "error:",       "Error:",   "ERROR",
                                             "fatal",        "cannot ",  "undefined reference",
                                             "No such file", "not found" };

        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
                if (memmem(line, len, signs[i], strlen(signs[i])))
                        return true;
        return false;
}

static void quote_telling_line(const char *text, size_t len, char *out, size_t out_size)
{
        const char *best = NULL, *last = NULL;
        size_t best_len = 0, last_len = 0;

        for (const char *p = text, *end = text + len; p < end;) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                size_t n = (size_t)((newline ? newline : end) - p);
                if (n) {
                        last = p;
                        last_len = n;
                        if (is_telling(p, n) && !best) {
                                best = p;
                                best_len = n;
                        }
                }
                p += n + 1;
        }
        if (!best) {
                best = last;
                best_len = last_len;
        }
        snprintf(out, out_size, "%.*s", (int)(best_len < 500 ? best_len : 500), best ? best : "");
}

/* The end of a log, where the cause of a failed step is. */
static void read_tail(const char *path, struct sf_buffer *ret)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char chunk[32768];

        if (fd < 0)
                return;
        off_t size = lseek(fd, 0, SEEK_END);
        ssize_t n = pread(fd, chunk, sizeof chunk, size > (off_t)sizeof chunk ? size - (off_t)sizeof chunk : 0);
        if (n > 0)
                sf_buffer_append(ret, chunk, (size_t)n, NULL);
}

int sf_proc_check(const struct sf_proc *proc, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer own = SF_BUFFER_INIT, tail = SF_BUFFER_INIT;
        struct sf_proc copy = *proc;
        char line[512];

        if (!copy.output && !copy.log)
                copy.output = &own;
        int r = sf_proc_run(&copy, err);
        if (r <= 0)
                return r;
        const struct sf_buffer *said = copy.errors && copy.errors->len ? copy.errors : copy.output;
        if (copy.log) {
                read_tail(copy.log, &tail);
                said = &tail;
        }
        quote_telling_line(sf_buffer_text(said), said->len, line, sizeof line);
        return sf_error_set(err, SF_ERR_FAILED, "%s failed with exit status %d%s%s%s%s", copy.argv[0], r,
                            *line ? ": " : "", line, copy.log ? "; log: " : "", copy.log ? copy.log : "");
}
