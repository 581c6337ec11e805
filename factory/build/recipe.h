/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/recipe.h - how one package becomes one layer of the prefix, as written in etc/recipes/NAME.ini.
 *
 *     [package]
 *     name = json-c
 *     version = 0.16
 *     depends = a b            other recipes whose layers fill the prefix first
 *     remove = *.la            patterns of installed paths that are thrown away; '*' also matches '/'
 *     strip = yes              strip --strip-unneeded over all ELF files (the default)
 *
 *     [source]                 what to unpack. [source WORD] adds an equal one: the first to be had is used
 *     file = json-c-0.16.tar.gz
 *     sha256 = <64 hexadecimal digits>
 *     url = https://...        repeats; tried after the mirrors
 *     pool = pool/main/...     where a Debian mirror keeps the file
 *
 *     [step configure]         steps run in the order they first appear
 *     run = cmake -S . -B out  one command, split into words, no shell; further values add words
 *     directory = sub          below the unpacked source, default "."
 *     env = NAME=value         repeats; added to the build environment
 *
 * In `run`, `directory` and `env`: @PREFIX@, @SOURCE@ (the unpacked tree), @JOBS@, @CFLAGS@, @CXXFLAGS@, @LDFLAGS@,
 * @CC@, @CXX@, @VERSION@. Lines are at most 190 characters (libinih); indented lines continue a value.
 *
 * A recipe may be spread over several files (etc/recipes/slurm.ini, then etc/slurm/24.11.5.ini): single values of a
 * later file win, lists grow. White space and comments do not count for its identity.
 */
#ifndef SF_FACTORY_BUILD_RECIPE_H
#define SF_FACTORY_BUILD_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/words.h"

struct sf_recipe_source {
        const char *file;        /* a plain file name */
        struct sf_digest digest;
        struct sf_words urls;
        const char *pool;        /* "" where there is none */
};

struct sf_recipe_step {
        const char *name;
        struct sf_words run;     /* at least one word, placeholders not yet replaced */
        const char *directory;   /* relative; "." by default */
        struct sf_words env;
};

struct sf_recipe {
        const char *name, *version;
        struct sf_words depends, remove;
        bool strip;
        struct sf_recipe_source *sources; /* at least one */
        size_t source_count;
        struct sf_recipe_step *steps;     /* at least one */
        size_t step_count;
        struct sf_digest identity;        /* over every section, key and value */
        struct sf_conf conf;              /* private: owns the strings */
};

/* Reads the files in order as one recipe. SF_ERR_USAGE names file and line where it can; unknown keys are refused. */
int sf_recipe_load(const char *const *paths, size_t count, struct sf_recipe *ret, struct sf_error *err);
void sf_recipe_free(struct sf_recipe *recipe);

#endif
