/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/yaml.h - a JSON value as YAML that people read: block style, members in the order they were added.
 *
 * Every string stands in double quotes with JSON's escapes, which YAML 1.2 reads as JSON does, so that no text can
 * become a number, a boolean, a comment or another member. Source: yaml.org/spec/1.2.2, chapters 5.7 and 7.3.1.
 */
#ifndef SF_FACTORY_COMMANDS_YAML_H
#define SF_FACTORY_COMMANDS_YAML_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

/* Appends objects, arrays, strings, integers, booleans and nulls. SF_ERR_USAGE for a string with DEL or a C1 control
 * character, which YAML does not allow and JSON does not escape. */
int sf_yaml_write(const json_t *value, struct sf_buffer *ret, struct sf_error *err);

#endif
