#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check-static.sh for the cross-compiled agent, under qemu-user.
STATIC_ARCH=arm64 exec bash "$top_srcdir/tests/system/check-static.sh"
