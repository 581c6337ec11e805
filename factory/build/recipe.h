/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/recipe.h - how one package becomes one layer of the prefix, as written in etc/recipes/NAME.ini.
 *
 *     [package]
 *     name = json-c
 *     version = 0.16
 *     license = MIT            an SPDX expression, for the release's bill of materials; no part of the identity
 *     layer = deps             the layer of the release that holds it: deps (the default), mpi, slurm
 *     depends = a b            other recipes whose files fill the prefix first
 *     also = c                 recipes of the same release that this one is built without
 *     build = small            in a profile: the word that its releases have in their names
 *     options = freeipmi hdf5  in a profile: etc/options/NAME.ini are read before it
 *     os = openssl zlib        libraries taken from the operating system, as [os NAME] of the toolchain lists them
 *     remove = *.la            patterns of installed paths that are thrown away; '*' also matches '/'
 *     strip = yes              strip --strip-unneeded over all ELF files (the default)
 *
 *     [source]                 what to unpack. [source WORD] adds an equal one: the first to be had is used
 *     file = json-c-0.16.tar.gz
 *     sha256 = <64 hexadecimal digits>
 *     url = https://...        repeats; tried after the mirrors
 *     pool = pool/main/...     where a Debian mirror keeps the file
 *     directory = 3rd-party/x  unpack only this directory of the archive, as if it were the whole
 *
 *     [patch WORD]             applied before the first step, in the order they first appear
 *     file = fix-it.patch      in the directory patches/ beside the recipes
 *     sha256 = ...
 *     strip = 1                leading path components that are ignored (patch -p), the default
 *
 *     [step configure]         steps run in the order they first appear
 *     run = cmake -S . -B out  one command, split into words, no shell; further values add words
 *     drop = --without-lz4     takes words of `run` away that stand before this line; a pattern (fnmatch(3))
 *     directory = sub          below the unpacked source, default "."
 *     env = NAME=value         repeats; added to the build environment
 *
 * An option's file may say only why it cannot be had: `refuse = REASON` in [package]. What an option changes of another
 * recipe than Slurm's is in etc/options/RECIPE/NAME.ini, read after etc/recipes/RECIPE.ini.
 *
 * `depends`, `also`, `os` and `remove` are lists like `run`: drop-depends, drop-also, ... take words away; drop-steps
 * in [package] takes whole steps away. A word without a wildcard that drops nothing is an error.
 *
 * In `run`, `directory` and `env`: @PREFIX@, @SOURCE@ (the unpacked tree), @JOBS@, @CFLAGS@, @CXXFLAGS@, @LDFLAGS@,
 * @CC@, @CXX@, @VERSION@. Lines are at most 190 characters (libinih); indented lines continue a value.
 *
 * A recipe may be spread over several files (etc/recipes/slurm.ini, then etc/slurm/24.11.5.ini): single values of a
 * later file win, lists grow. White space, comments and addresses do not count for its identity.
 */
#ifndef SF_FACTORY_BUILD_RECIPE_H
#define SF_FACTORY_BUILD_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/conf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/words.h"

struct sf_recipe_source {
        const char *file; /* a plain file name */
        struct sf_digest digest;
        struct sf_words urls;
        const char *pool;      /* "" where there is none */
        const char *directory; /* of the archive; "" = all of it */
};

struct sf_recipe_patch {
        const char *name;
        const char *file; /* a plain file name */
        struct sf_digest digest;
        uint64_t strip;
};

struct sf_recipe_step {
        const char *name;
        struct sf_words run;   /* at least one word, placeholders not yet replaced */
        const char *directory; /* relative; "." by default */
        struct sf_words env;
};

struct sf_recipe {
        const char *name, *version;
        const char *layer;   /* one of sf_recipe_layers */
        const char *license; /* an SPDX license expression; "" = not said */
        const char *build;   /* "" */
        struct sf_words depends, also, os, remove;
        bool strip;
        struct sf_recipe_source *sources; /* at least one */
        size_t source_count;
        struct sf_recipe_patch *patches;
        size_t patch_count;
        struct sf_recipe_step *steps; /* at least one */
        size_t step_count;
        struct sf_digest identity; /* of what sf_recipe_describe writes */
        struct sf_conf conf;       /* private: owns the strings */
};

/* The layers of a release in the order they are unpacked; NULL-terminated. */
extern const char *const sf_recipe_layers[];

/* Reads the files in order as one recipe. SF_ERR_USAGE names file and line where it can; unknown keys are refused. */
int sf_recipe_load(const char *const *paths, size_t count, struct sf_recipe *ret, struct sf_error *err);
void sf_recipe_free(struct sf_recipe *recipe);

/* Appends everything that decides what is built, a line each: the recipe's part of a cache key. */
int sf_recipe_describe(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err);

#endif
