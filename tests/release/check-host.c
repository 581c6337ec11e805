/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-host.c - what distributions write into os-release, and what we call them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/host.h"

static void distributions_have_names(void **state)
{
        static const struct {
                const char *text, *name; /* NULL: refused */
        } cases[] = {
                { "PRETTY_NAME=\"Debian GNU/Linux 12 "
                  "(bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n",
                  "bookworm" },
                { "ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble", "noble" },
                { "NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n",
                  "rockylinux9" },
                { "NAME=\"Rocky Linux\"\nVERSION=\"9.5 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"
                  "VERSION_ID=\"9.5\"\nPLATFORM_ID=\"platform:el9\"\n",
                  "rockylinux9" },
                { "NAME=\"AlmaLinux\"\nVERSION=\"9.4 (Seafoam Ocelot)\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos "
                  "fedora\"\n"
                  "VERSION_ID=\"9.4\"\nPLATFORM_ID=\"platform:el9\"\nALMALINUX_MANTISBT_PROJECT=\"AlmaLinux-9\"\n",
                  "rockylinux9" },
                { "ID='almalinux'\nID_LIKE='rhel centos fedora'\nVERSION_ID='8.10'\n", "rockylinux8" },
                { "NAME=\"AlmaLinux\"\nVERSION=\"10.0 (Purple Lion)\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos "
                  "fedora\"\n"
                  "VERSION_ID=\"10.0\"\nPLATFORM_ID=\"platform:el10\"\n",
                  "rockylinux10" },
                { "NAME=\"Oracle Linux Server\"\nVERSION=\"9.4\"\nID=\"ol\"\nID_LIKE=\"fedora\"\nVARIANT=\"Server\"\n"
                  "VERSION_ID=\"9.4\"\nPLATFORM_ID=\"platform:el9\"\n",
                  "rockylinux9" },
                { "NAME=\"Red Hat Enterprise Linux\"\nVERSION=\"8.10 (Ootpa)\"\nID=\"rhel\"\nID_LIKE=\"fedora\"\n"
                  "VERSION_ID=\"8.10\"\nPLATFORM_ID=\"platform:el8\"\n",
                  "rockylinux8" },
                { "NAME=\"CentOS Stream\"\nVERSION=\"9\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"9\"\n"
                  "PLATFORM_ID=\"platform:el9\"\n",
                  "rockylinux9" },
                { "NAME=\"CentOS Linux\"\nVERSION=\"7 (Core)\"\nID=\"centos\"\nID_LIKE=\"rhel "
                  "fedora\"\nVERSION_ID=\"7\"\n",
                  "centos7" },
                { "NAME=\"EuroLinux\"\nID=\"eurolinux\"\nID_LIKE=\"rhel fedora centos\"\nVERSION_ID=\"9.3\"\n",
                  "rockylinux9" },
                { "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"\n"
                  "PLATFORM_ID=\"platform:al2023\"\n",
                  "amzn2023" },
                { "NAME=\"Fedora "
                  "Linux\"\nID=fedora\nVERSION_ID=41\nVERSION_CODENAME=\"\"\nPLATFORM_ID=\"platform:f41\"\n",
                  "fedora41" },
                { "NAME=\"Linux Mint\"\nVERSION=\"22 (Wilma)\"\nID=linuxmint\nID_LIKE=\"ubuntu "
                  "debian\"\nVERSION_ID=\"22\"\n"
                  "VERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
                  "noble" },
                { "NAME=\"Pop!_OS\"\nVERSION=\"22.04 LTS\"\nID=pop\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22.04\"\n"
                  "VERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n",
                  "jammy" },
                { "NAME=\"LMDE\"\nVERSION=\"6 (faye)\"\nID=linuxmint\nID_LIKE=debian\nVERSION_ID=\"6\"\n"
                  "VERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
                  "bookworm" },
                { "NAME=\"Raspbian "
                  "GNU/Linux\"\nID=raspbian\nID_LIKE=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
                  "bookworm" },
                { "NAME=\"openSUSE Leap\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n",
                  "opensuseleap15" },
                { "ID=fedora\r\nVERSION_ID=41\r\nVERSION_CODENAME=\"\"\r\n", "fedora41" },
                { "VERSION_CODENAME=../../Evil-Name\n", "....evilname" },
                { "ID=first\nID=second\nVERSION_ID=1\n", "second1" },
                { "XID=no\nID_LIKE=debian\nVERSION_ID=1\n", NULL },
                { "ID=arch\n", NULL },
                { "", NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_free_ char *name = NULL;
                struct sf_error err = SF_ERROR_INIT;
                int r = sf_host_toolchain_from_text("os-release", cases[i].text, &name, &err);

                if (cases[i].name) {
                        assert_int_equal(r, 0);
                        assert_string_equal(name, cases[i].name);
                } else {
                        assert_int_equal(r, SF_ERR_UNSUPPORTED);
                        assert_non_null(strstr(err.text, "os-release: "));
                }
        }
}

static void a_root_is_asked_in_both_places(void **state)
{
        char root[] = "/tmp/sf-check-host.XXXXXX";
        const char *text = "ID=rocky\nVERSION_ID=8.9\n";
        _cleanup_free_ char *name = NULL;

        (void)state;
        assert_non_null(mkdtemp(root));
        _cleanup_free_ char *directory = sf_fs_join(root, "usr/lib"), *file = sf_fs_join(directory, "os-release");
        assert_int_equal(sf_host_toolchain(root, &name, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(file, text, strlen(text), 0644, NULL), 0);
        assert_int_equal(sf_host_toolchain(root, &name, NULL), 0);
        assert_string_equal(name, "rockylinux8");
        assert_int_equal(sf_fs_remove_tree(root, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(distributions_have_names),
                cmocka_unit_test(a_root_is_asked_in_both_places),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
