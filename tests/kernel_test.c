/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: what can be tested without a node: formats of other nodes' io:format. Expected values: io_lib of OTP 25. */
#include "tests/tap.h"
#include "tests/alloc_fail.h"
#include "cnode/kernel/io.h"

static const struct {
	const char *format, *args;      /* Erlang terms */
	const char *expected;           /* NULL: they do not fit */
} formats[] = {
	{ "\"plain\"", "[]", "plain" },
	{ "\"~w\"", "[\"ab\"]", "[97,98]" },
	{ "\"~p\"", "[\"ab\"]", "\"ab\"" },
	{ "\"~ts\"", "[[8364]]", "\xe2\x82\xac" },
	{ "\"~10s|\"", "[\"abc\"]", "       abc|" },
	{ "\"~-10s|\"", "[abc]", "abc       |" },
	{ "\"~5.2s|\"", "[<<\"def\">>]", "   de|" },
	{ "\"~.2s|\"", "[\"defg\"]", "de|" },
	{ "\"~5.3.*s|\"", "[120,\"ghij\"]", "xxghi|" },
	{ "\"~10.5s|\"", "[\"abc\"]", "     abc  |" },
	{ "\"~-10.5s|\"", "[\"abcdefg\"]", "abcde     |" },
	{ "\"~5s|\"", "[\"abcdefgh\"]", "abcde|" },
	{ "\"~-5s|\"", "[\"abcdefgh\"]", "abcde|" },
	{ "\"~2s|\"", "[\"abc\"]", "ab|" },
	{ "\"~*s ~-*s|\"", "[5,\"a\",5,\"b\"]", "    a b    |" },
	{ "\"~s\"", "[[\"deep\",[<<\"bin\">>,$c]]]", "deepbinc" },
	{ "\"~s\"", "['atom x']", "atom x" },
	{ "\"~s~s\"", "[<<$a,228>>,\"b\"]", "a\xc3\xa4" "b" },
	{ "\"~ts\"", "[<<$a,195,164>>]", "a\xc3\xa4" },
	{ "\"~c~3c~tc\"", "[$a,$b,8364]", "abbb\xe2\x82\xac" },
	{ "\"~5.2c|\"", "[$q]", "   qq|" },
	{ "\"~b ~B ~8b|~-8b|\"", "[1,-2,3,4]", "1 -2        3|4       |" },
	{ "\"~.16b ~.16B ~8.16.0b\"", "[255,255,255]", "ff FF 000000ff" },
	{ "\"~.16# ~.16+ ~.2# ~#\"", "[255,-255,5,10]", "16#FF -16#ff 2#101 10#10" },
	{ "\"~x ~X\"", "[17,\"0x\",-255,\"16#\"]", "0x17 -16#255" },
	{ "\"~.16x\"", "[255,\"0x\"]", "0xff" },
	{ "\"~.16X|\"", "[255,\"pppppppppppppppppppppppppppppppppppppppp\"]", "ppppppppppppppppppppppppppppppppppppppppFF|" },
	{ "\"~tx\"", "[7,[8364,8364,8364,8364,8364,8364,8364,8364,8364,8364,8364]]",
	  "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac" "7" },
	{ "\"~# ~X\"", "[1180591620717411303424,-1180591620717411303424,\"x\"]", "10#1180591620717411303424 -x1180591620717411303424" },
	{ "\"~-5c|~-5.2c|\"", "[$a,$a]", "aaaaa|aa   |" },
	{ "\"~b\"", "[123456789012345678901234567890]", "123456789012345678901234567890" },
	{ "\"~.3b ~.3B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "212120111200011212011202121121102112201221210200222201122112100000212011112120110 -212120111200011212011202121121102112201221210200222201122112100000212011112120110" },
	{ "\"~.7b ~.7B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "3422010165614640535024655334144342331060463454 -3422010165614640535024655334144342331060463454" },
	{ "\"~.8b ~.8B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "4432126361152746757037667135230354520620417 -4432126361152746757037667135230354520620417" },
	{ "\"~.16b ~.16B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "123456789abcdef0fedcba9876543210f -123456789ABCDEF0FEDCBA9876543210F" },
	{ "\"~.24b ~.24B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "knn6g10f30jl6kg17ahca1h2gegf -KNN6G10F30JL6KG17AHCA1H2GEGF" },
	{ "\"~.32b ~.32B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "938ljojaudts7urit9gtik688f -938LJOJAUDTS7URIT9GTIK688F" },
	{ "\"~.36b ~.36B\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f]",
	  "h8s5y8zta6g97xpji4dilkh73 -H8S5Y8ZTA6G97XPJI4DILKH73" },
	{ "\"~.16#|~.36+|~.16X|~40.16.0b|~10.16b\"", "[16#123456789abcdef0fedcba9876543210f,-16#123456789abcdef0fedcba9876543210f,16#123456789abcdef0fedcba9876543210f,\"0x\",16#123456789abcdef0fedcba9876543210f,16#123456789abcdef0fedcba9876543210f]",
	  "16#123456789ABCDEF0FEDCBA9876543210F|-36#h8s5y8zta6g97xpji4dilkh73|0x123456789ABCDEF0FEDCBA9876543210F|"
	  "0000000123456789abcdef0fedcba9876543210f|**********" },
	{ "\"~.2b ~.16b ~.24b ~.36b\"", "[18446744073709551616,18446744073709551616,18446744073709551615,18446744073709551616]",
	  "10000000000000000000000000000000000000000000000000000000000000000 10000000000000000 l12ee5fn0ji1if 3w5e11264sgsg" },
	{ "\"~30b|\"", "[-123456789012345678901]", "        -123456789012345678901|" },
	{ "\"~f ~.2f ~10.3f|~-10.3f|\"", "[1.5,2.25,5.125,5.125]", "1.500000 2.25      5.125|5.125     |" },
	{ "\"~e ~.3e\"", "[3.5,12345.678]", "3.50000e+0 1.23e+4" },
	{ "\"~g ~g ~g ~.2g\"", "[4.5,0.01,123456.0,0.5]", "4.50000 1.00000e-2 1.23456e+5 0.50" },
	{ "\"~i~~~3~x\"", "[ignored]", "~~~~x" },
	{ "\"~n~2nx\"", "[]", "\n\n\nx" },
	{ "\"~3w|~3w|\"", "[a,abcdef]", "  a|***|" },
	{ "\"~w ~w ~w\"", "[<<\"abc\">>,[1,2,3],#{a => 1}]", "<<97,98,99>> [1,2,3] #{a => 1}" },
	{ "\"~p ~p\"", "[<<\"abc\">>,[1,2,3]]", "<<\"abc\">> [1,2,3]" },
	{ "\"~w ~w\"", "[1.0,'atom x']", "1.0 'atom x'" },
	{ "\"~0p\"", "[abc]", "abc" },
	{ "<<\"binary ~p\">>", "[x]", "binary x" },
	{ "'atom ~p'", "[x]", "atom x" },
	{ "\"~8W|~-8W|~3W\"", "[{a,b,c},2,{a,b,c},2,{a,b,c},2]", " {a,...}|{a,...} |***" },
	{ "\"~W ~P ~P\"", "[[a,b],-1,[a,b],-5,{a},100000000000000000000]", "[a,b] [a,b] {a}" },
	{ "\"~P\"", "[a]", NULL },
	{ "\"~W\"", "[a,b]", NULL },
	{ "\"~p ~p\"", "[1]", NULL },
	{ "\"~p\"", "[1,2]", NULL },
	{ "\"~p\"", "one", NULL },
	{ "\"~b\"", "[atom]", NULL },
	{ "\"~c\"", "[x]", NULL },
	{ "\"~f\"", "[x]", NULL },
	{ "\"~s\"", "[17]", NULL },
	{ "\"~s\"", "[[a]]", NULL },
	{ "\"~y\"", "[1]", NULL },
	{ "\"~\"", "[]", NULL },
	{ "\"~999999999999999999999s\"", "[a]", NULL },
	{ "\"~*s\"", "[x,a]", NULL },
	{ "\"~.99b\"", "[1]", NULL },
	{ "17", "[]", NULL },
	{ "[a]", "[]", NULL },
};

/* ~W and ~P to the depths 0, 1, 2, 3, 4 and 6. */
static const struct {
	const char *term, *expected;
} depths[] = {
	{ "{a,b,c,d}", "... {...} {a,...} {a,b,...} {a,b,c,...} {a,b,c,d} / ... {...} {a,...} {a,b,...} {a,b,c,...} {a,b,c,d}" },
	{ "[a,b,c,d]", "... [...] [a|...] [a,b|...] [a,b,c|...] [a,b,c,d] / ... [...] [a|...] [a,b|...] [a,b,c|...] [a,b,c,d]" },
	{ "\"abcdefgh\"", "... [...] [97|...] [97,98|...] [97,98,99|...] [97,98,99,100,101|...] / ... [...] \"abcdefgh\" \"abcdefgh\" \"abcdefgh\" \"abcdefgh\"" },
	{ "[1,2,3|4]", "... [...] [1|...] [1,2|...] [1,2,3|...] [1,2,3|4] / ... [...] [1|...] [1,2|...] [1,2,3|...] [1,2,3|4]" },
	{ "[1|2]", "... [...] [1|...] [1|2] [1|2] [1|2] / ... [...] [1|...] [1|2] [1|2] [1|2]" },
	{ "<<1,2,3,4,5>>", "... <<...>> <<1,...>> <<1,2,...>> <<1,2,3,...>> <<1,2,3,4,5>> / ... <<...>> <<1,...>> <<1,2,...>> <<1,2,3,...>> <<1,2,3,4,5>>" },
	{ "<<\"abcdefgh\">>", "... <<...>> <<97,...>> <<97,98,...>> <<97,98,99,...>> <<97,98,99,100,101,...>> / ... <<...>> <<\"abcd\"...>> <<\"abcdefgh\">> <<\"abcdefgh\">> <<\"abcdefgh\">>" },
	{ "#{a => 1,b => 2,c => 3}", "... #{} #{a => 1,...} #{a => 1,b => 2,...} #{a => 1,b => 2,c => 3,...} #{a => 1,b => 2,c => 3} / ... #{...} #{a => 1,...} #{a => 1,b => 2,...} #{a => 1,b => 2,c => 3} #{a => 1,b => 2,c => 3}" },
	{ "#{}", "... #{} #{} #{} #{} #{} / ... #{} #{} #{} #{} #{}" },
	{ "{}", "... {} {} {} {} {} / ... {} {} {} {} {}" },
	{ "[]", "... [] [] [] [] [] / ... [] [] [] [] []" },
	{ "<<>>", "... <<>> <<>> <<>> <<>> <<>> / ... <<>> <<>> <<>> <<>> <<>>" },
	{ "{a,{b,{c,{d}}}}", "... {...} {a,...} {a,{...}} {a,{b,...}} {a,{b,{c,...}}} / ... {...} {a,...} {a,{...}} {a,{b,...}} {a,{b,{c,...}}}" },
	{ "[[[[1]]]]", "... [...] [[...]] [[[...]]] [[[[...]]]] [[[[1]]]] / ... [...] [[...]] [[[...]]] [[[[...]]]] [[[[1]]]]" },
	{ "[\"abcdef\",\"xyz\"]", "... [...] [[...]|...] [[97|...],[...]] [[97,98|...],[120|...]] [[97,98,99,100|...],[120,121,122]] / ... [...] [[...]|...] [\"abcdef\",[...]] [\"abcdef\",\"xyz\"] [\"abcdef\",\"xyz\"]" },
	{ "#{a => #{b => #{c => 1}}}", "... #{} #{a => #{},...} #{a => #{b => #{},...}} #{a => #{b => #{c => 1,...}}} #{a => #{b => #{c => 1}}} / ... #{...} #{a => #{...}} #{a => #{b => #{...}}} #{a => #{b => #{c => 1}}} #{a => #{b => #{c => 1}}}" },
	{ "#{a => {1,{2,3}},b => {1,{2,3}}}", "... #{} #{a => {...},...} #{a => {1,...},b => {1,...},...} #{a => {1,{...}},b => {1,{...}}} #{a => {1,{2,3}},b => {1,{2,3}}} / ... #{...} #{a => {...},...} #{a => {1,...},b => {1,...}} #{a => {1,{...}},b => {1,{...}}} #{a => {1,{2,3}},b => {1,{2,3}}}" },
	{ "{\"hello world\",<<\"hello world\">>}", "... {...} {[...],...} {[104|...],<<...>>} {[104,101|...],<<104,...>>} {[104,101,108,108|...],<<104,101,108,...>>} / ... {...} {[...],...} {\"hello world\",<<...>>} {\"hello world\",<<\"hell\"...>>} {\"hello world\",<<\"hello world\">>}" },
	{ "[{a,1},{b,2},{c,3}]", "... [...] [{...}|...] [{a,...},{...}|...] [{a,1},{b,...},{...}] [{a,1},{b,2},{c,3}] / ... [...] [{...}|...] [{a,...},{...}|...] [{a,1},{b,...},{...}] [{a,1},{b,2},{c,3}]" },
	{ "<<1:1>>", "... <<...>> <<1:1>> <<1:1>> <<1:1>> <<1:1>> / ... <<...>> <<1:1>> <<1:1>> <<1:1>> <<1:1>>" },
	{ "<<1,2,3:3>>", "... <<...>> <<1,...>> <<1,2,...>> <<1,2,3:3>> <<1,2,3:3>> / ... <<...>> <<1,...>> <<1,2,...>> <<1,2,3:3>> <<1,2,3:3>>" },
	{ "abcdef", "... abcdef abcdef abcdef abcdef abcdef / ... abcdef abcdef abcdef abcdef abcdef" },
	{ "123456", "... 123456 123456 123456 123456 123456 / ... 123456 123456 123456 123456 123456" },
	{ "1.5", "... 1.5 1.5 1.5 1.5 1.5 / ... 1.5 1.5 1.5 1.5 1.5" },
	{ "[97,98,99,1]", "... [...] [97|...] [97,98|...] [97,98,99|...] [97,98,99,1] / ... [...] [97|...] [97,98|...] [97,98,99|...] [97,98,99,1]" },
	{ "<<97,98,99,100,1>>", "... <<...>> <<97,...>> <<97,98,...>> <<97,98,99,...>> <<97,98,99,100,1>> / ... <<...>> <<\"abcd\"...>> <<\"abcd\"...>> <<\"abcd\"...>> <<97,98,99,100,1>>" },
	{ "<<97,98,1>>", "... <<...>> <<97,...>> <<97,98,...>> <<97,98,1>> <<97,98,1>> / ... <<...>> <<\"ab\"...>> <<\"ab\"...>> <<97,98,1>> <<97,98,1>>" },
	{ "<<97,98,99,1,100,101,102,103>>", "... <<...>> <<97,...>> <<97,98,...>> <<97,98,99,...>> <<97,98,99,1,100,...>> / ... <<...>> <<\"abc\"...>> <<\"abc\"...>> <<\"abc\"...>> <<97,98,99,1,100,...>>" },
	{ "<<1,97,98,99>>", "... <<...>> <<1,...>> <<1,97,...>> <<1,97,98,...>> <<1,97,98,99>> / ... <<...>> <<1,...>> <<1,97,...>> <<1,97,98,...>> <<1,97,98,99>>" },
	{ "<<\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\">>", "... <<...>> <<97,...>> <<97,98,...>> <<97,98,99,...>> <<97,98,99,100,101,...>> / ... <<...>> <<\"abcd\"...>> <<\"abcdefgh\"...>> <<\"abcdefghijkl\"...>> <<\"abcdefghijklmnopqrst\"...>>" },
	{ "{1,\"a\",2}", "... {...} {1,...} {1,[...],...} {1,[97],2} {1,[97],2} / ... {...} {1,...} {1,[...],...} {1,\"a\",2} {1,\"a\",2}" },
	{ "[\"a\"|b]", "... [...] [[...]|...] [[97]|b] [[97]|b] [[97]|b] / ... [...] [[...]|...] [\"a\"|b] [\"a\"|b] [\"a\"|b]" },
	{ "[97,98,99,100|x]", "... [...] [97|...] [97,98|...] [97,98,99|...] [97,98,99,100|x] / ... [...] [97|...] [97,98|...] [97,98,99|...] [97,98,99,100|x]" },
	{ "[#{a => 1},b]", "... [...] [#{}|...] [#{a => 1,...},b] [#{a => 1},b] [#{a => 1},b] / ... [...] [#{...}|...] [#{a => 1},b] [#{a => 1},b] [#{a => 1},b]" },
	{ "{{},[],#{},<<>>,x}", "... {...} {{},...} {{},[],...} {{},[],#{},...} {{},[],#{},<<>>,x} / ... {...} {{},...} {{},[],...} {{},[],#{},...} {{},[],#{},<<>>,x}" },
	{ "[[],[],[[]]]", "... [...] [[]|...] [[],[]|...] [[],[],[...]] [[],[],[[]]] / ... [...] [[]|...] [[],[]|...] [[],[],[...]] [[],[],[[]]]" },
	{ "{<<\"abc\">>,<<1>>,'B b',\"\"}", "... {...} {<<...>>,...} {<<97,...>>,<<...>>,...} {<<97,98,...>>,<<1>>,'B b',...} {<<97,98,99>>,<<1>>,'B b',[]} / ... {...} {<<...>>,...} {<<\"abc\">>,<<...>>,...} {<<\"abc\">>,<<1>>,'B b',...} {<<\"abc\">>,<<1>>,'B b',[]}" },
};

static cnode_term parsed(const char *text)
{
	cnode_term term = { 0 };
	ck_assert_msg(cnode_parse(text, &term, NULL) == 0, "%s", text);
	return term;
}

START_TEST(formats_as_io_lib_does)
{
	cnode_term format = parsed(formats[_i].format), args = parsed(formats[_i].args);
	struct cn_buf out;
	cn_buf_init(&out, 0);
	bool good = cn_io_format(&out, format, args);
	cn_put_u8(&out, 0);
	ck_assert_int_eq(out.err, 0);
	ck_assert_msg(good == (formats[_i].expected != NULL), "%s %s", formats[_i].format, formats[_i].args);
	if (good)
		ck_assert_str_eq((char *)out.data, formats[_i].expected);
	cn_buf_fini(&out);
	cnode_term_drop(format);
	cnode_term_drop(args);
}
END_TEST

START_TEST(goes_as_deep_as_io_lib_does)
{
	struct cn_buf args, out;
	cn_buf_init(&args, 0);
	cn_buf_init(&out, 0);
	for (int i = 0; i < 12; i++)
		cn_put_text(&args, "%s%s,%d", i ? "," : "[", depths[_i].term, (const int[]){ 0, 1, 2, 3, 4, 6 }[i % 6]);
	cn_put_text(&args, "]");
	cn_put_u8(&args, 0);
	cnode_term format = parsed("\"~W ~W ~W ~W ~W ~W / ~P ~P ~P ~P ~P ~P\""), list = parsed((char *)args.data);
	ck_assert(cn_io_format(&out, format, list));
	cn_put_u8(&out, 0);
	ck_assert_str_eq((char *)out.data, depths[_i].expected);
	cn_buf_fini(&args);
	cn_buf_fini(&out);
	cnode_term_drop(format);
	cnode_term_drop(list);
}
END_TEST

START_TEST(a_zero_in_a_format_is_a_character)
{
	cnode_term format = parsed("[97,0,$~,$p,98]"), args = parsed("[x]");
	struct cn_buf out;
	cn_buf_init(&out, 0);
	ck_assert(cn_io_format(&out, format, args));
	ck_assert_uint_eq(out.size, 4);
	ck_assert_mem_eq(out.data, "a\0xb", 4);
	cn_buf_fini(&out);
	cnode_term_drop(format);
	cnode_term_drop(args);
}
END_TEST

START_TEST(a_format_cannot_ask_for_all_memory)
{
	struct cn_buf format, out;
	cnode_term f, args = parsed("[]");
	cn_buf_init(&format, 0);
	cn_buf_init(&out, 1 << 20);
	cn_put_text(&format, "%s", "<<\"");
	for (int i = 0; i < 100000; i++)            /* 800 kB, which are to be 10 GB */
		cn_put_text(&format, "~99999n");
	cn_put_text(&format, "\">>");
	cn_put_u8(&format, 0);
	f = parsed((char *)format.data);
	ck_assert(cn_io_format(&out, f, args));
	ck_assert_int_eq(out.err, CNODE_ETOOBIG);
	ck_assert_uint_le(out.room, 1 << 20);
	cn_buf_fini(&out);
	cn_buf_fini(&format);
	cnode_term_drop(f);
	cnode_term_drop(args);
}
END_TEST

START_TEST(a_number_cannot_ask_for_all_memory)
{
	struct cn_buf number, out;
	cn_buf_init(&number, 0);
	cn_buf_init(&out, 1 << 20);
	cn_put_text(&number, "[16#");
	for (int i = 0; i < 100000; i++)
		cn_put_text(&number, "123456789a");
	cn_put_text(&number, "]");
	cn_put_u8(&number, 0);
	cnode_term f = parsed("\"~.2b\""), args = parsed((char *)number.data);
	ck_assert(cn_io_format(&out, f, args));     /* 500 kB, which are to be 4 MB */
	ck_assert_int_eq(out.err, CNODE_ETOOBIG);
	cn_buf_fini(&out);
	cn_buf_fini(&number);
	cnode_term_drop(f);
	cnode_term_drop(args);
}
END_TEST

static cnode_term every_format, every_args;

static void format_once(void)
{
	struct cn_buf out;
	cn_buf_init(&out, 0);
	bool good = cn_io_format(&out, every_format, every_args);
	ck_assert(good || atomic_load(&alloc_fail_hit));
	ck_assert(out.err == 0 || out.err == CNODE_ENOMEM);
	cn_buf_fini(&out);
}

START_TEST(without_memory_it_is_an_error)
{
	every_format = parsed("\"~s ~p ~w ~b ~10c ~X ~.16b ~P\"");
	every_args = parsed("[\"text\",{a,[1,2]},{b},7,$x,255,\"16#\",123456789012345678901234567890,{a,b},1]");
	alloc_fail_each(format_once);
	cnode_term_drop(every_format);
	cnode_term_drop(every_args);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kernel");
	TCase *t = tcase_create("io");
	tcase_add_loop_test(t, formats_as_io_lib_does, 0, (int)CN_ARRAY_SIZE(formats));
	tcase_add_loop_test(t, goes_as_deep_as_io_lib_does, 0, (int)CN_ARRAY_SIZE(depths));
	tcase_add_test(t, a_zero_in_a_format_is_a_character);
	tcase_add_test(t, a_format_cannot_ask_for_all_memory);
	tcase_add_test(t, a_number_cannot_ask_for_all_memory);
	tcase_add_test(t, without_memory_it_is_an_error);
	suite_add_tcase(s, t);
	return tap_run(s);
}
