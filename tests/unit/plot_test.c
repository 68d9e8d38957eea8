/* Ticks and curves by hand arithmetic; text in HTML; base64 by RFC 4648. */
#include "tools/plot.h"

#include "io/image.h"
#include "tests/test.h"
#include "tools/html.h"

static void check_ticks(struct thaw_ticks ticks, int count, double first, double step, int decimals)
{
	CHECK_INT(ticks.count, count);
	CHECK_INT(ticks.decimals, decimals);
	for (int i = 0; i < ticks.count && i < count; i++)
		CHECK_NEAR(ticks.at[i], first + i * step, 1e-12 * fabs(step));
}

static void test_ticks(void)
{
	check_ticks(thaw_ticks_linear(0, 1, 5), 6, 0, 0.2, 1);
	check_ticks(thaw_ticks_linear(0.45, 0.66, 5), 5, 0.45, 0.05, 2); /* 0.042 is nearest to 0.05 */
	check_ticks(thaw_ticks_linear(1, 20, 8), 10, 2, 2, 0);           /* 2.4 to 2 */
	check_ticks(thaw_ticks_linear(-3, 4, 3), 4, -2, 2, 0);
	check_ticks(thaw_ticks_linear(0, 14, 2), 2, 0, 10, 0);           /* 7 is no less than 7: 10 */
	check_ticks(thaw_ticks_linear(0.001, 0.0014, 4), 5, 0.001, 0.0001, 4);
	check_ticks(thaw_ticks_linear(0, 1e6, 4), 6, 0, 2e5, 0);
}

static void test_log_ticks(void)
{
	struct thaw_ticks ticks = thaw_ticks_log(0.001, 0.1);

	CHECK_INT(ticks.count, 3);
	CHECK_NEAR(ticks.at[0], 0.001, 1e-15);
	CHECK_NEAR(ticks.at[1], 0.01, 1e-14);
	CHECK_NEAR(ticks.at[2], 0.1, 1e-13);
	CHECK_INT(thaw_ticks_log(0.002, 0.5).count, 2);
	ticks = thaw_ticks_log(1e-9, 1e9); /* 19 powers: every third */
	CHECK_INT(ticks.count, 7);
	CHECK_NEAR(ticks.at[1], 1e-6, 1e-18);
}

static void check_contains(const struct thaw_text *text, const char *part)
{
	if (!strstr(text->data, part))
		TEST_FAIL("no '%s' in %s", part, text->data);
}

/* 200 wide: 46 on the left, 45 for a name of five letters on the right (5 * 6.6 + 12), 8 inside: x from 54 to 147. 140
 * high: 40 above and below, so that y goes from 100 to 40. */
static void test_plot(void)
{
	static const double x[] = {1, 2, 3, 4}, y[] = {0, 0.5, NAN, 1}, flat[] = {1, 1, 1, 1};
	const struct thaw_series series[] = {{"a<b", "val", x, y, 4}, {"two", "train", x, flat, 4}};
	const struct thaw_band bands[] = {{0.5, 1.5, "fc"}, {1.5, 4.5, "all & more of it, too much"}};
	const struct thaw_plot plot = {.title = "t",
	                               .x_name = "epoch",
	                               .width = 200,
	                               .height = 140,
	                               .unit_y = true,
	                               .series = series,
	                               .series_count = 2,
	                               .bands = bands,
	                               .bands_count = 2,
	                               .mark = 2,
	                               .mark_name = "best 2"};
	struct thaw_text svg = THAW_TEXT_EMPTY;

	thaw_plot_add(&svg, &plot);
	CHECK_OK(thaw_text_status(&svg));
	check_contains(&svg, "<path d=\"M54.0 100.0L85.0 70.0M147.0 40.0\"/>"); /* broken where it is no number */
	check_contains(&svg, "<path d=\"M54.0 40.0L85.0 40.0L116.0 40.0L147.0 40.0\"/>");
	check_contains(&svg, "<circle cx=\"85.0\" cy=\"70.0\" r=\"2.5\"><title>a&lt;b 0.5, epoch 2</title>");
	check_contains(&svg, "<line x1=\"85.0\" x2=\"85.0\" y1=\"40\" y2=\"103.0\" class=\"mark\"/>");
	check_contains(&svg, "<rect x=\"69.5\" y=\"24\" width=\"85.5\" height=\"76\" class=\"band\"/>");
	check_contains(&svg, ">fc</text>");
	check_contains(&svg, "y=\"44.0\" class=\"tick\" text-anchor=\"end\">1.0</text>");
	check_contains(&svg, "y=\"104.0\" class=\"tick\" text-anchor=\"end\">0.0</text>");
	check_contains(&svg, "x=\"159.0\" y=\"44.0\" class=\"name\" text-anchor=\"start\">a&lt;b</text>");
	check_contains(&svg, "x=\"159.0\" y=\"58.0\" class=\"name\" text-anchor=\"start\">two</text>"); /* pushed down */
	CHECK(!strstr(svg.data, "too much")); /* a name without room is left out */
	CHECK(!strstr(svg.data, "nan"));
	thaw_text_release(&svg);
}

/* 1 .. 100 on 60 pixels, from two decades on */
static void test_log_plot(void)
{
	static const double x[] = {1, 2}, y[] = {1, 100}, near[] = {1, 9};
	struct thaw_series series = {"", "rate", x, y, 2};
	struct thaw_plot plot = {.title = "t", .x_name = "epoch", .width = 200, .height = 140, .log_from = 10,
	                         .steps = true, .series = &series, .series_count = 1, .mark = NAN};
	struct thaw_text svg = THAW_TEXT_EMPTY;

	thaw_plot_add(&svg, &plot);
	check_contains(&svg, "<path d=\"M54.0 100.0H147.0V40.0\"/>");
	check_contains(&svg, "y=\"74.0\" class=\"tick\" text-anchor=\"end\">10</text>");
	thaw_text_release(&svg);
	series.y = near;
	thaw_plot_add(&svg, &plot); /* 0 .. 10: 1 lies 6 pixels over 0 */
	check_contains(&svg, "<path d=\"M54.0 94.0H147.0V46.0\"/>");
	thaw_text_release(&svg);
}

static void test_empty_plots(void)
{
	static const double x[] = {3}, y[] = {NAN}, zero[] = {0};
	struct thaw_series series = {"a", "val", x, y, 1};
	struct thaw_plot plot = {.title = "loss",
	                         .x_name = "epoch",
	                         .width = 200,
	                         .height = 140,
	                         .series = &series,
	                         .series_count = 1,
	                         .mark = NAN};
	struct thaw_text svg = THAW_TEXT_EMPTY;

	thaw_plot_add(&svg, &plot);
	CHECK_TEXT(svg.data, "<p class=\"note\">nothing to draw for loss</p>\n");
	thaw_text_release(&svg);
	series.y = zero;
	thaw_plot_add(&svg, &plot); /* one point, in the middle of an axis from 0 to 1 */
	check_contains(&svg, "<circle cx=\"100.5\" cy=\"100.0\"");
	CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"));
	thaw_text_release(&svg);
}

static void test_html(void)
{
	static const char *const base64[][2] = {{"", ""},           {"f", "Zg=="},         {"fo", "Zm8="},
	                                        {"foo", "Zm9v"},    {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
	                                        {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};
	struct thaw_text html = THAW_TEXT_EMPTY;

	thaw_html_add(&html, "<script>alert('1\" & 2')</script>\x1b[2J\xff\xc3\xa4");
	CHECK_TEXT(html.data, "&lt;script&gt;alert(&#39;1&quot; &amp; 2&#39;)&lt;/script&gt;\\x1B[2J\\xFF\xc3\xa4");
	thaw_text_release(&html);
	for (int i = 0; i < 8; i++) {
		thaw_html_add_base64(&html, base64[i][0], strlen(base64[i][0]));
		CHECK_TEXT(html.data, base64[i][1]);
		thaw_text_release(&html);
	}
}

/* 20 x 40 reduced to 8: 4 x 8, a JPEG that decodes to the one colour it has. */
static void test_picture(void)
{
	static const struct thaw_picture picture = {.height = 20, .width = 40};
	struct thaw_text html = THAW_TEXT_EMPTY, jpeg = THAW_TEXT_EMPTY;
	struct thaw_image image, decoded;
	uint8_t pixels[20 * 40 * 3];

	memset(pixels, 90, sizeof pixels);
	CHECK_OK(thaw_html_add_picture(&html, &picture, pixels, 8));
	check_contains(&html, "<img width=\"8\" height=\"4\" alt=\"\" src=\"data:image/jpeg;base64,/9j/");
	image = (struct thaw_image){20, 40, pixels};
	CHECK_OK(thaw_image_encode_jpeg(&image, 90, &jpeg));
	CHECK_OK(thaw_image_decode("jpeg", jpeg.data, jpeg.length, &decoded));
	CHECK(decoded.height == 20 && decoded.width == 40);
	for (size_t i = 0; i < sizeof pixels; i++)
		CHECK_NEAR(decoded.pixels[i], 90, 2);
	thaw_image_release(&decoded);
	thaw_text_release(&html);
	thaw_text_release(&jpeg);
}

int main(void)
{
	test_ticks();
	test_log_ticks();
	test_plot();
	test_log_plot();
	test_empty_plots();
	test_html();
	test_picture();
	return TEST_END();
}
