/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-health.c - what slurmctld's record of a node says, and which records a switch believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/switch/health.h"

/* As scontrol of 24.11 prints it; %s are start time, version, state and the lines that only some nodes have. */
#define RECORD                                                                                       \
        "NodeName=n1 Arch=x86_64 CoresPerSocket=1 \n   CPUAlloc=0 CPUEfctv=4 CPUTot=4 CPULoad=0.5\n" \
        "   AvailableFeatures=(null)\n   ActiveFeatures=(null)\n   Gres=(null)\n"                    \
        "   NodeAddr=n1 NodeHostName=n1 Version=%s\n   OS=Linux 6.1.0 #1 SMP\n"                      \
        "   RealMemory=1000 AllocMem=0 FreeMem=800 Sockets=4 Boards=1\n"                             \
        "   State=%s ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A\n"                  \
        "   Partitions=all \n   BootTime=2026-11-23T19:31:00 SlurmdStartTime=%s\n"                   \
        "   LastBusyTime=2026-11-23T19:31:41 ResumeAfterTime=None\n   CfgTRES=cpu=4,mem=1000M\n"     \
        "   AllocTRES=\n   CurrentWatts=0 AveWatts=0\n%s\n"

#define OLD         "2026-11-23T19:31:39"
#define NEW         "2026-11-23T19:31:40"
#define NEW_SECONDS 1795462300

static struct sf_slurm_record record(const char *started, const char *version, const char *state, const char *reason)
{
        char text[4096];
        struct sf_slurm_record node;

        snprintf(text, sizeof text, RECORD, version, state, started, reason);
        assert_int_equal(sf_slurm_record_parse(text, &node, NULL), 0);
        return node;
}

static void parsing(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_slurm_record node = record(NEW, "24.11.5", "IDLE+DRAIN+INVALID_REG",
                                             "   Reason=Low RealMemory (reported:900 < 100.00% of configured:1000) "
                                             "[slurm@2026-11-23T19:31:41]\n   Comment=State=DOWN Reason=lies\n");

        (void)ctx;
        assert_int_equal(node.started, NEW_SECONDS);
        assert_string_equal(node.version, "24.11.5");
        assert_string_equal(node.state, "IDLE+DRAIN+INVALID_REG");
        assert_int_equal(node.trouble, SF_SLURM_DRAIN | SF_SLURM_INVALID);
        assert_string_equal(node.reason, "Low RealMemory (reported:900 < 100.00% of configured:1000) "
                                         "[slurm@2026-11-23T19:31:41]");
        /* A comment cannot speak for a node that has no reason. */
        node = record(NEW, "24.11.5", "MIXED", "   Comment=well Reason=none\n");
        assert_string_equal(node.reason, "");
        assert_int_equal(node.trouble, 0);
        assert_int_equal(record("None", "24.11.5", "UNKNOWN", "").started, 0);
        assert_int_equal(record(NEW, "24.11.5", "DOWN+NOT_RESPONDING", "").trouble, SF_SLURM_DOWN | SF_SLURM_UNCERTAIN);
        assert_int_equal(record(NEW, "24.11.5", "IDLE+POWERED_DOWN", "").trouble, 0);
        assert_int_equal(sf_slurm_record_parse("Node n1 not found\n", &node, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "SlurmdStartTime"));
}

#define DRAINED "   Reason=disk [root@2026-11-20T10:00:00]"
#define LOW     "   Reason=Low RealMemory [slurm@2026-11-23T19:31:41]"

static void judgement(void **ctx)
{
        static const struct {
                const char *before_state, *before_reason; /* NULL: not known */
                const char *started, *version, *state, *reason;
                int verdict;
                const char *says;
        } cases[] = {
                { "IDLE", "", NEW, "24.11.9", "IDLE", "", 0, "" },
                { "ALLOCATED", "", NEW, "24.11.9", "MIXED", "", 0, "" },
                { "MIXED", "", NEW, "24.11.9", "IDLE+COMPLETING", "", 0, "" },
                { NULL, NULL, NEW, "24.11.9", "IDLE", "", 0, "" },
                /* Not yet. */
                { "IDLE", "", OLD, "24.11.5", "IDLE", "", 1, "did not register" },
                { "IDLE", "", "None", "", "IDLE", "", 1, "did not register" },
                { "IDLE", "", NEW, "24.11.9", "IDLE+NOT_RESPONDING", "", 1, "NOT_RESPONDING" },
                { "IDLE", "", NEW, "24.11.9", "UNKNOWN", "", 1, "UNKNOWN" },
                /* An old problem is none of ours, and one that has gone is welcome. */
                { "IDLE+DRAIN", DRAINED, NEW, "24.11.9", "IDLE+DRAIN", DRAINED, 0, "" },
                { "DOWN", DRAINED, NEW, "24.11.9", "IDLE", "", 0, "" },
                { "DOWN+NOT_RESPONDING", "", NEW, "24.11.9", "IDLE", "", 0, "" },
                /* A note about a node that works is only a note. */
                { "IDLE", "", NEW, "24.11.9", "IDLE", DRAINED, 0, "" },
                /* New problems, with slurmctld's reason. */
                { "IDLE", "", NEW, "24.11.9", "IDLE+DRAIN+INVALID_REG", LOW, SF_ERR_FAILED,
                  "n1 came back IDLE+DRAIN+INVALID_REG: Low RealMemory" },
                { "IDLE", "", NEW, "24.11.9", "IDLE+DRAIN", LOW, SF_ERR_FAILED, "Low RealMemory" },
                { "IDLE", "", NEW, "24.11.9", "DOWN", "", SF_ERR_FAILED, "came back DOWN: slurmctld gives no reason" },
                { "IDLE+DRAIN", DRAINED, NEW, "24.11.9", "DOWN+DRAIN", DRAINED, SF_ERR_FAILED, "DOWN+DRAIN" },
                { "IDLE+DRAIN", DRAINED, NEW, "24.11.9", "IDLE+DRAIN", LOW, SF_ERR_FAILED, "Low RealMemory" },
                { "IDLE", "", NEW, "24.11.9", "IDLE+FAIL", "", SF_ERR_FAILED, "FAIL" },
                { NULL, NULL, NEW, "24.11.9", "IDLE+DRAIN+INVALID_REG", LOW, SF_ERR_FAILED, "Low RealMemory" },
                { NULL, NULL, NEW, "24.11.9", "IDLE+DRAIN", DRAINED, 0, "" },
                /* Somebody else registered. */
                { "IDLE", "", NEW, "24.11.5", "IDLE", "", SF_ERR_FAILED,
                  "registered with version 24.11.5, not 24.11.9" },
        };

        (void)ctx;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sf_slurm_record before,
                        now = record(cases[i].started, cases[i].version, cases[i].state, cases[i].reason);
                struct sf_health health = { .since = NEW_SECONDS, .version = "24.11.9" };
                struct sf_error err = SF_ERROR_INIT;
                if (cases[i].before_state) {
                        before = record(OLD, "24.11.5", cases[i].before_state, cases[i].before_reason);
                        health.before = &before;
                }
                int verdict = sf_health_judge(&health, "n1", &now, &err);
                if (verdict != cases[i].verdict || !strstr(err.text, cases[i].says))
                        fail_msg("case %zu: %d, %s", i, verdict, err.text);
        }
}

static void words(void **ctx)
{
        struct sf_health_proof proof = { .node = "n1", .witness = SF_HEALTH_ANSWER, .seconds = 0.42 };
        char text[256];

        (void)ctx;
        sf_health_describe(&proof, text, sizeof text);
        assert_string_equal(
                text,
                "slurmctld has the new registration of n1, slurmd answers 0.4 s after its start; slurmctld's next ping "
                "is not waited for");
        proof.witness = SF_HEALTH_PROCESS;
        proof.contact = true;
        sf_health_describe(&proof, text, sizeof text);
        assert_non_null(strstr(text, "was not to be had"));
        assert_non_null(strstr(text, "has contacted it"));
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(parsing), cmocka_unit_test(judgement),
                                            cmocka_unit_test(words) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
