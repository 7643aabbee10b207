/* SPDX-License-Identifier: MIT */
/* What the kernel knows and libfuse 3.14 does not yet, said in the kernel's own structures. */
#ifndef TWOSTATE_FUSE_WIRE_H
#define TWOSTATE_FUSE_WIRE_H

#include <stdbool.h>

#include "fuse3.h"

/* Makes the session offer the kernel shared mappings of files with direct_io. 0 or -errno. */
int wire_offer_mapping(struct fuse_session *session);

/* Whether it took the offer, once it is mounted. */
bool wire_can_map(void);

/*
 * Answers an open, or a create if entry is not NULL: past the kernel's cache, with writes side by
 * side; or through the kernel's cache, if cached. -ENOENT: interrupted, it is not open.
 */
int wire_reply_open(fuse_req_t req, const struct fuse_entry_param *entry,
                    const struct fuse_file_info *fi, bool cached);

#endif
