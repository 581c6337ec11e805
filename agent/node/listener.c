/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/listener.c - see listener.h. */
#include "agent/node/listener.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TCP_LISTEN_STATE 0x0A

/* Is one of the process's descriptors this socket? */
static bool holds_socket(pid_t pid, uint64_t inode)
{
        char directory[64], path[128], wanted[64], target[64];
        bool found = false;

        snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
        snprintf(directory, sizeof directory, "/proc/%d/fd", (int)pid);
        DIR *d = opendir(directory);
        for (struct dirent *e; d && !found && (e = readdir(d));) {
                snprintf(path, sizeof path, "%s/%.32s", directory, e->d_name);
                ssize_t len = readlink(path, target, sizeof target - 1);
                target[len < 0 ? 0 : len] = '\0';
                found = strcmp(target, wanted) == 0;
        }
        if (d)
                closedir(d);
        return found;
}

/* "  0: 00000000:1AA2 00000000:0000 0A ... uid timeout inode": the lowest port above `low` in a table of the kernel. */
static unsigned lowest_port(pid_t pid, const char *table, unsigned lowest)
{
        char path[64], line[512];

        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, table);
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f)) {
                unsigned port, state;
                uint64_t inode;
                if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %" SCNu64, &port, &state,
                           &inode) == 3 &&
                    state == TCP_LISTEN_STATE && (!lowest || port < lowest) && holds_socket(pid, inode))
                        lowest = port;
        }
        return lowest;
}

unsigned sf_listener_port(pid_t pid)
{
        return lowest_port(pid, "tcp6", lowest_port(pid, "tcp", 0));
}

bool sf_listener_ready(unsigned port)
{
        static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct timeval second = { .tv_sec = 1 };
        char answer[16] = "";
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second) < 0 ||
            connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1 ||
            recv(fd, answer, sizeof answer - 1, MSG_WAITALL) < 12)
                return false;
        return strncmp(answer, "HTTP/1.", 7) == 0 && answer[9] == '2';
}
