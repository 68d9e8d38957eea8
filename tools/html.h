/* Pieces of an HTML page. Texts may come from anywhere: names of files and classes hold what a folder was called. */
#ifndef THAW_TOOLS_HTML_H
#define THAW_TOOLS_HTML_H

#include "base/text.h"
#include "io/dataset.h"

/* Appends `text` for the inside of an element or of a quoted attribute; what is not printable stands as \xHH. */
void thaw_html_add(struct thaw_text *html, const char *text);

/* Appends bytes in base64 (RFC 4648). */
void thaw_html_add_base64(struct thaw_text *html, const void *bytes, size_t length);

/* Appends an img element that holds (H,W,3) pixels itself, reduced to `edge` pixels at most, as JPEG. */
thaw_status thaw_html_add_picture(struct thaw_text *html, const struct thaw_picture *picture, const uint8_t *pixels,
                                  int edge);

#endif
