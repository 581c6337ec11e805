/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-listener.c - a process's listening port is found, and who says ready there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node/listener.h"

static int listen_on(unsigned *ret_port)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

static void finds_the_port(void **ctx)
{
        unsigned port;
        int fd = listen_on(&port);

        (void)ctx;
        assert_int_equal(sf_listener_port(getpid()), 0); /* bound is not listening */
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(sf_listener_port(getpid()), port);
        pid_t child = fork();
        if (child == 0) {
                close(fd);
                pause();
                _exit(0);
        }
        /* What the parent listens on is not the child's. */
        for (int i = 0; i < 100 && sf_listener_port(child); i++)
                usleep(10000);
        assert_int_equal(sf_listener_port(child), 0);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(fd);
        assert_int_equal(sf_listener_port(getpid()), 0);
}

static const char *answer;

static void *serve(void *ctx)
{
        char request[256];
        int fd = accept(*(int *)ctx, NULL, NULL);

        if (recv(fd, request, sizeof request, 0) > 0 && *answer)
                send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        close(fd);
        return NULL;
}

static bool asks(const char *text)
{
        pthread_t thread;
        unsigned port;
        int fd = listen_on(&port);

        answer = text;
        assert_int_equal(listen(fd, 1), 0);
        pthread_create(&thread, NULL, serve, &fd);
        bool ready = sf_listener_ready(port);
        pthread_join(thread, NULL);
        close(fd);
        return ready;
}

static void readiness(void **ctx)
{
        unsigned port;
        int fd = listen_on(&port);

        (void)ctx;
        close(fd);
        assert_false(sf_listener_ready(port)); /* nobody there */
        assert_true(asks("HTTP/1.1 200 OK\r\n\r\n"));
        assert_true(asks("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_false(asks("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert_false(asks(""));
        assert_false(asks("\x01\x02\x03\x04 binary, as slurmd before 25.11"));
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(finds_the_port), cmocka_unit_test(readiness) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
