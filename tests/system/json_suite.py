"""Each kind of text that the public suites for JSON parsers have, everywhere.

The kinds are those of the suites' groups (y_: must be accepted, n_: must not,
i_: either); the texts are our own.  Each is placed as the value of an unknown
member at several depths, as an element, in place of a member's name if it is a
string, and as a whole body.  What is right is counted and what is wrong is 400,
with a place that lies in the text; where a parser has the choice, CHOICES says
what ours is, and why.

All are read in pieces of every small size, and asked of the real program over
FastCGI, which must go on as if nothing had been.
"""

import json
import os
import re

from tests.harness import fcgi, oracle
from tests.harness.bodycheck import verdicts
from tests.harness.servers import Flagtally, Place, Redis
from tests.harness.tap import check, equal, note, run

SANITIZER = bool(os.environ.get("FLAGTALLY_SANITIZER"))

RIGHT = {
    # Arrays.
    "an empty array": "[]",
    "an empty array with space in it": "[ \t]",
    "arrays in an array": "[[],[[]], [ [ ] ]]",
    "an array of an empty string": '[""]',
    "an array of one of each kind": '[null,true,0,"s",{},[]]',
    "an array of one false": "[false]",
    "an array that ends with a line's end": "[7\n]",
    "an array with space before it": " \r\n[7]",
    "an array with space after it": "[7]  \t",
    "an array of nulls and a number": "[null,null,3,null]",
    "an array of 1,000": "[" + ",".join(["1"] * 1000) + "]",
    # Numbers.
    "a number": "[321]",
    "zero": "0",
    "minus zero": "-0",
    "a fraction of zero": "0.0",
    "minus zero with a fraction": "[-0.0]",
    "zero with an exponent": "0e7",
    "zero with an exponent and a sign": "0e+7",
    "a single digit": "7",
    "a negative number": "-321",
    "minus one": "-1",
    "a fraction": "3.25",
    "a fraction close to zero": "-0." + "0" * 75 + "9",
    "an exponent": "3e4",
    "an exponent in a capital letter": "3E4",
    "an exponent with a plus": "3E+4",
    "an exponent with a minus": "3e-4",
    "an exponent with leading zeros": "3e-0004",
    "a fraction and an exponent": "3.25e4",
    "a fraction, an exponent and a minus": "3.25E-4",
    "a number with space around it": " 7 ",
    "a fraction of many digits": "0." + "1234567890" * 20,
    # Objects.
    "an empty object": "{}",
    "an object with space in it": "{ \n }",
    "an object": '{"k":"v"}',
    "an object of two members": '{"k":"v","l":"w"}',
    "a name that is empty": '{"":0}',
    "a name with an escaped NUL": '{"k\\u0000l":7}',
    "a name twice with two values": '{"k":1,"k":2}',
    "a name twice with one value": '{"k":1,"k":1}',
    "a name twice, once with an escape": '{"k":1,"\\u006b":2}',
    "a long name and a long value": '{"%s":"%s"}' % ("k" * 300, "v" * 900),
    "an object with line's ends": '{\n"k":\n"v"\n}',
    "a name of an extreme number": '{"min":-1.0e28,"max":1.0e28}',
    "names in a script other than Latin": '{"ключ":"значение","鍵":"値"}',
    "names that mean something elsewhere":
        '{"__proto__":1,"constructor":2,"toString":3,"appName":4}',
    "objects in objects": '{"a":{"b":{"c":{"d":{}}}}}',
    # Strings.
    "an empty string": '""',
    "a string": '"abc"',
    "a string of one space": '" "',
    "every short escape": r'"\"\\\/\b\f\n\r\t"',
    "an escaped backslash and a letter": r'"\\n"',
    "an escaped backslash before the end": r'"a\\"',
    "an escaped quotation mark": r'"\""',
    "a slash without a backslash": '"a/b"',
    "an escaped control character": r'"\u0012"',
    "an escaped NUL": r'"\u0000"',
    "an escaped DEL": r'"\u007f"',
    "DEL itself": '"a\x7fb"',
    "an escape of two bytes": r'"\u00a9"',
    "an escape of three bytes": r'"\u20ac"',
    "an escape in letters of both cases": r'"\u00Ff\u00fF"',
    "escapes among text": r'"x\u0061y\u0062z"',
    "a pair of surrogates": r'"\ud83d\ude39"',
    "two pairs of surrogates": r'"\ud83d\ude39\ud83d\udc8d"',
    "the first pair": r'"\ud800\udc00"',
    "the last pair": r'"\udbff\udfff"',
    "an escape next to the surrogates": r'"\ud7ff\ue000"',
    "an escaped noncharacter": r'"\ufdd0\uffff"',
    "a pair that is a noncharacter": r'"\ud83f\udffe\udbff\udfff"',
    "an escaped mark of direction": r'"\u202e\u2066"',
    "an escaped zero-width space": r'"\u200b\u2064"',
    "an escaped byte-order mark": r'"\ufeff"',
    "UTF-8 of two bytes": '"é"',
    "UTF-8 of three bytes": '"€日"',
    "UTF-8 of four bytes": '"\U0001f639"',
    "the ends of each length of UTF-8":
        '"\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"',
    "a noncharacter": '"\ufdd0\ufffe\U0010ffff"',
    "a byte-order mark in a string": '"\ufeff"',
    "a control character of C1": '"\x85\x9b"',
    "line and paragraph separators": '"\u2028\u2029"',
    "marks of direction": '"\u202e\u2066\u200f"',
    "comments in a string": '"a/*b*/c//d#e"',
    "brackets in a string": '"]}{[,:"',
    "a backslash and a u that is no escape": r'"\\u0041\\uzzzz"',
    "an escaped backslash before a surrogate's name": r'"\\ud800"',
    "a long string": '"%s"' % ("x" * 5000),
    "the longest string": '"%s"' % ("x" * 65536),
    "the longest string, all of it escapes": '"%s"' % ("\\u0078" * 65536),
    # The structure.
    "true alone": "true",
    "false alone": "false",
    "null alone": "null",
    "all kinds of space": "\t[\r\n 1 \n,\r2\t] ",
    "objects and arrays in turn": '{"a":[{"b":[{"c":[]}]}]}' ,
    "a nesting of 20": "[" * 20 + "]" * 20,
    "a bit of everything": r'''[
        "a text", {"an object of one": ["an array of one"]}, {}, [], -42,
        true, {"integer": 1234567890, "real": -9876.543210, "e": 0.123e-12,
        "E": 1.23E34, "": 23e-8, "zero": 0, "one": 1, "space": " ",
        "quote": "\"", "backslash": "\\", "controls": "\b\f\n\r\t",
        "slash": "/ & \/", "hex": "\u0123\u4567\u89AB\uCDEF\uabcd\uef4A",
        "array": [ ], "object":{  }, "address": "50 St. James Street",
        "# -- --> */": " ", " s p a c e d " :[1,2 , 3

,4 , 5     ], "jsontext": "{\"object\":[1]}"}, 0.5, 98.6, 1066, 1e1, 0.1e1,
        1e-1, 1e00, 2e+00, 2e-00, "rosebud"]''',
}

WRONG = {
    # Arrays.
    "no comma": "[7 8]",
    "no comma before a string": '[7"a"]',
    "a colon in place of a comma": '["a":7]',
    "a comma after the last": "[7,]",
    "a comma after the last, and space": '["a", ]',
    "two commas after the last": "[7,,]",
    "two commas": "[7,,8]",
    "a comma first": "[,7]",
    "a comma alone": "[,]",
    "a minus alone in an array": "[-]",
    "a star in an array": "[*]",
    "a bracket too many": "[7]]",
    "a comma after the array": '["a"],',
    "an array in what is no value": "[a[]]",
    "an array that is not closed": '["a"',
    "an array that is not closed, after a comma": "[7,",
    "an array that is not closed, at a line's end": '["a",\n7\n,8',
    "an array of objects that is not closed": "[{}",
    "an opening bracket alone": "[",
    "a closing bracket alone": "]",
    "an array closed by a brace": "[7}",
    "an array that does not begin": "7]",
    "an array of a string that is not closed": '["a',
    "an array of a string that ends in an escape": '["a\\',
    # Words.
    "half a true": "[tru]",
    "half a false": "[fals]",
    "half a null": "[nul]",
    "a word that goes on": "[truex]",
    "two words in one": "[truefalse]",
    "a capital True": "[True]",
    "a capital NULL": "NULL",
    "truth": '{"k":truth}',
    "undefined": "[undefined]",
    "a naked word": "[\\naked]",
    "a word with an escape in it": "[\\u0061]",
    "a word of Latin letters beyond ASCII": "å",
    # Numbers.
    "a plus": "[+7]",
    "two pluses": "[++7]",
    "a plus and a word": "[+Inf]",
    "two minuses": "[--7.]",
    "a minus and a word": "[-a]",
    "a minus, space and a digit": "[- 7]",
    "a minus alone": "-",
    "a leading zero": "[07]",
    "a negative leading zero": "[-07]",
    "two zeros": "[00]",
    "two zeros with a fraction": "[00.0]",
    "two negative zeros": "[-00.0]",
    "two zeros with an exponent": "[00e0]",
    "digits, then zeros apart": '{"k":013}',
    "many digits, then 00": "123\x00",
    "a point without digits": "[7.]",
    "a point without digits before an exponent": "[7.e3]",
    "a point without a digit before it": "[.7]",
    "a negative point": "[-.7]",
    "a point with a minus behind it": "[7.-3]",
    "two points": "[7.8.9]",
    "a capital exponent without digits": "[7E]",
    "an exponent without digits": "[0e]",
    "an exponent with a plus and no digits": "[0e+]",
    "an exponent with two signs": "[0e+-1]",
    "an exponent after a fraction, without digits": "[7.0E+]",
    "an exponent of a fraction": "[7e8.9]",
    "two exponents": "[7e8e9]",
    "an exponent with letters": "[7ea]",
    "an exponent alone": "[e7]",
    "a hexadecimal number": '{"k":0x1F}',
    "a hexadecimal number of one digit": "[0x7]",
    "an octal number": "[0o7]",
    "a binary number": "[0b1]",
    "letters behind a number": "[7a]",
    "a letter behind a zero": "[0a1]",
    "an unknown character behind a number": "[7@]",
    "a space inside a number": "[7 000.0]",
    "an underscore inside a number": "[7_000]",
    "a comma inside a number": "[{},7,000 ,]",
    "an expression": "[1+2]",
    "an expression of shifts": '{"k":1<<3}',
    "a call": '{"k":alert()}',
    "NaN": "[NaN]",
    "minus NaN": "[-NaN]",
    "Infinity": "[Infinity]",
    "minus Infinity": "[-Infinity]",
    "Inf": "[Inf]",
    "digits that are not ASCII": "[１]",
    "digits of Arabic": "[٧]",
    "a minus sign that is not ASCII": "[−7]",
    "a fraction in one character": "[½]",
    # Objects.
    "no value": '{"k":}',
    "no value and no colon": '{"k"}',
    "no colon": '{"k" "v"}',
    "two colons": '{"k"::"v"}',
    "a comma in place of a colon": '{"k","v"}',
    "a word in place of a colon": '{"k":true "l" x}',
    "a comma after the last member": '{"k":7,}',
    "two commas after the last member": '{"k":7,,}',
    "two commas between members": '{"k":7,,"l":8}',
    "a comma first in an object": '{,"k":7}',
    "a comma alone in an object": "{,}",
    "no comma between members": '{"k":7 "l":8}',
    "a name without quotation marks": "{k:7}",
    "a name in apostrophes": "{'k':7}",
    "a name in one mark and one apostrophe": "{\"k':7}",
    "a name that is a number": "{7:7}",
    "a name that is a long number": "{9999E9999:7}",
    "a name that is null": "{null:7}",
    "a name that is an array": '{[]:7}',
    "a name that is an object": '{{"k":7}:8}',
    "a name alone that is repeated": '{"k":7,"k"}',
    "two values": '{"k":7 8}',
    "an object closed by a bracket": '{"k":7]',
    "an object that is not closed": '{"k":7',
    "an object that is not closed after a comma": '{"k":7,',
    "an object that is not closed after a colon": '{"k":',
    "an object that is not closed after a name": '{"k"',
    "an object that is not closed in a name": '{"k',
    "an opening brace alone": "{",
    "an opening brace and a bracket": "{[",
    "a closing brace alone": "}",
    "an object in angle brackets": "<null>",
    "an object with a symbol of a flag as name": "{\U0001f1e8\U0001f1ed}",
    "a comma after the object": '{"k":7},',
    "an object after the object": "{}{}",
    "a brace after the object": "{}}",
    "a string after the object": '{"k":7} "x"',
    "a mark after the object": '{"k":"v"}#',
    "a slash after the object": '{"k":"v"}/',
    "half a comment after the object": '{"k":"v"}/*',
    "an open comment after the object": '{"k":"v"}//',
    "a comment that ends the line": '{"k":"v"}//x\n',
    "a comment in an object": '{"k":/*c*/"v"}',
    "a comment before a name": '{/*c*/"k":"v"}',
    "a comment of a line in an array": "[7, // seven\n8]",
    "a comment of a shell": "[7 # seven\n]",
    "a comment alone": "/**/",
    # Strings.
    "a string without a mark at its end": '"abc',
    "a mark alone": '"',
    "apostrophes": "['abc']",
    "marks of typographers": "[“abc”]",
    "a string in backquotes": "[`abc`]",
    "an unknown escape": r'["\a"]',
    "an escape of a digit": r'["\017"]',
    "an escape of x": r'["\x15"]',
    "an escape of a capital U": r'["\U0041"]',
    "an escaped apostrophe": r'''["\'"]''',
    "an escaped space": '["\\ "]',
    "an escaped tab": '["\\\t"]',
    "an escaped line's end": '["a\\\nb"]',
    "an escaped NUL byte": '["\\\0"]',
    "an escaped character beyond ASCII": '["\\é"]',
    "an escaped flag": '["\\\U0001f300"]',
    "an escape outside": '[\\n]',
    "three backslashes": r'["\\\"]',
    "a backslash at the end": '["\\"',
    "a \\u without digits": r'["\u"]',
    "a \\u of one digit": r'["\u0"]',
    "a \\u of two digits": r'["\u00"]',
    "a \\u of three digits": r'["\u00A"]',
    "a \\u of no hexadecimal digits": r'["\u00zz"]',
    "a \\u with a sign": r'["\u+041"]',
    "a \\u with a space": r'["\u 041"]',
    "a \\u with an 0x": r'["\u0x41"]',
    "a \\u with digits that are not ASCII": '["\\u００４１"]',
    "a \\u that the end of the string cuts": '["\\uD8"',
    "half a pair's second escape": r'["\ud834\ud"]',
    "a pair whose second half has no digits": r'["\ud800\u"]',
    "a pair whose second half has one digit": r'["\ud800\u1"]',
    "a pair whose second half has odd digits": r'["\ud800\u1x"]',
    "a pair whose second half ends": r'["\ud800\"]',
    "a tab in a string": '["a\tb"]',
    "a line's end in a string": '["a\nb"]',
    "a return in a string": '["a\rb"]',
    "a form feed in a string": '["a\fb"]',
    "a vertical tab in a string": '["a\vb"]',
    "a NUL in a string": '["a\0b"]',
    "the last control character in a string": '["\x1f"]',
    "a string and a letter": '"" x',
    "a string without marks": "[abc]",
    "a string that is opened twice": '[""a"]',
    # The structure.
    "nothing": "",
    "a space alone": " ",
    "space alone": " \t\r\n",
    "a star": "*",
    "a point in angle brackets": "<.>",
    "a number and an unknown character": "2@",
    "two arrays": "[][]",
    "two numbers": "7 8",
    "two numbers on two lines": "7\n8",
    "a colon alone": ":",
    "a comma alone outside": ",",
    "text after an array": "[7]x",
    "a NUL outside": "[\0]",
    "a NUL after": "7\0",
    "a form feed as space": "[\f]",
    "a vertical tab as space": "[\v7]",
    "a no-break space": "[\xa0]",
    "an ideographic space": "[\u3000]",
    "a word joiner": "[\u2060]",
    "a zero-width space": "\u200b7",
    "a line separator as space": "[7,\u20288]",
    "a next line as space": "[\x85]",
    "an escaped line's end outside": "[\\u000a7]",
    "a code of a terminal": "\x1b[0m7",
    "an end of file of other times": "7\x1a",
    "brackets and marks in a loop": '["\\{["\\{["\\{["\\{',
    "100,000 brackets": "[" * 100000,
    "50,000 brackets and objects": '[{"":' * 50000,
    "100,000 brackets, closed": "[" * 100000 + "]" * 100000,
    "a nesting of mixed kinds beyond the limit": '[{"k":' * 33 + "0" +
        "}]" * 33,
    # UTF-8 that is none, outside of strings.
    "a byte that is no UTF-8": b"[\xff]",
    "half a character": b"[\xc3]",
    "half a character as a word": b"[a\xe5]",
    "half a character behind a number": b"[1\xe5]",
    "half a character behind an exponent": b"[1e1\xe5]",
    "half a character behind a zero": b"[0\xe5]",
    "half a character behind a minus": b"[-123.4e5\xe5]",
    "half a character in an escape": b'["\\\xe5"]',
    "half a character behind a \\u": b'["\\u\xe5"]',
    "half a character as a name": b"{\"k\":7,\xb9:8}",
    "half a byte-order mark": b"\xef\xbb{}",
    "a byte-order mark before a value": b"\xef\xbb\xbf{}",
}

# Where parsers have the choice: which is ours, and why.
UTF8 = "strings are UTF-8, and nothing is guessed or replaced"
PAIRS = "a surrogate alone is no character, so a name would not come back"
NUMBERS = "a number may be anything of an unknown member, as text"
CHOICES = {
    "an exponent beyond a double": ("123.4e5678", True, NUMBERS),
    "a huge exponent": ("0.4e006699999999999999999999999999999999999999999999",
                        True, NUMBERS),
    "a huge negative exponent": ("1.5e-9999999999999999999", True, NUMBERS),
    "a negative number beyond a double": ("-1e+9999", True, NUMBERS),
    "an integer of many digits": ("123123123123123123123123123123", True,
                                  NUMBERS),
    "a negative integer of many digits": ("-237462374673276894279832749832423",
                                          True, NUMBERS),
    "an integer beyond 64 bits": ("18446744073709551616", True, NUMBERS),
    "an integer beyond 53 bits": ("9007199254740993", True, NUMBERS),
    "a fraction below the smallest double": ("123e-10000000", True, NUMBERS),
    "the longest number": ("1" * 4096, True, NUMBERS),
    "a number that is longer": ("1" * 4097, False,
                                "no number needs more than 4 KiB"),
    "the longest fraction": ("0." + "1" * 4094, True, NUMBERS),
    "a fraction that is longer": ("0." + "1" * 4095, False,
                                  "no number needs more than 4 KiB"),
    "a string longer than 64 KiB": ('"%s"' % ("x" * 65537), False,
                                    "no name needs more than 64 KiB"),
    "a name longer than 64 KiB": ('{"%s":0}' % ("x" * 65537), False,
                                  "no name needs more than 64 KiB"),
    "a high surrogate alone": (r'"\ud800"', False, PAIRS),
    "a high surrogate and text": (r'"\ud800abc"', False, PAIRS),
    "a high surrogate and an escape": (r'"\uD800\n"', False, PAIRS),
    "a high surrogate and a backslash": (r'"\uD800\\"', False, PAIRS),
    "a high surrogate and a letter's escape": (r'"\uDADA\u0061"', False,
                                               PAIRS),
    "two high surrogates": (r'"\uD888\uD888"', False, PAIRS),
    "two high surrogates and an escape": (r'"\uD800\uD800\n"', False, PAIRS),
    "two high surrogates and a low one": (r'"\ud800\ud83d\ude39"', False,
                                          PAIRS),
    "a low surrogate alone": (r'"\uDFAA"', False, PAIRS),
    "a low surrogate and a letter": (r'"\uDd1ea"', False, PAIRS),
    "a low surrogate in a name": (r'{"\uDFAA":0}', False, PAIRS),
    "a pair the wrong way round": (r'"\uDd1e\uD834"', False, PAIRS),
    "a pair and a low surrogate": (r'"\ud83d\ude39\ude39"', False, PAIRS),
    "a byte of Latin-1": (b'"\xe9"', False, UTF8),
    "a byte that UTF-8 never has": (b'"\xff"', False, UTF8),
    "a byte of the middle alone": (b'"\x81"', False, UTF8),
    "a character that is cut off": (b'"\xe0\xff"', False, UTF8),
    "a character that the string's end cuts": (b'"\xe2\x82"', False, UTF8),
    "a sequence that stops half-way": (b'"\xe6\x97\xa5\xd1\x88\xfa"', False,
                                       UTF8),
    "a slash of two bytes": (b'"\xc0\xaf"', False, UTF8),
    "a NUL of two bytes": (b'"\xc0\x80"', False, UTF8),
    "a letter of three bytes": (b'"\xe0\x81\x81"', False, UTF8),
    "a euro of four bytes": (b'"\xf0\x82\x82\xac"', False, UTF8),
    "a sequence of six bytes": (b'"\xfc\x83\xbf\xbf\xbf\xbf"', False, UTF8),
    "a NUL of six bytes": (b'"\xfc\x80\x80\x80\x80\x80"', False, UTF8),
    "a character beyond the last": (b'"\xf4\xbf\xbf\xbf"', False, UTF8),
    "the first character beyond": (b'"\xf4\x90\x80\x80"', False, UTF8),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', False, UTF8),
    "a pair of surrogates in UTF-8": (b'"\xed\xa0\xbd\xed\xb8\xb9"', False,
                                      UTF8),
    "UTF-16 without a mark, little endian":
        ('["é"]'.encode("utf-16-le"), False, "bodies are UTF-8"),
    "UTF-16 without a mark, big endian":
        ('["é"]'.encode("utf-16-be"), False, "bodies are UTF-8"),
    "UTF-16 with a mark": ('["é"]'.encode("utf-16"), False,
                           "bodies are UTF-8"),
    "UTF-32 with a mark": ("[]".encode("utf-32"), False, "bodies are UTF-8"),
    "a nesting of 500": ("[" * 500 + "]" * 500, False,
                         "limit_depth is 64 unless configured"),
    "a nesting of 65": ("[" * 65 + "]" * 65, False,
                        "limit_depth is 64 unless configured"),
}

COUNTED = (b'"metrics":[{"featureName":"f","appName":"a","environment":"e",'
           b'"timestamp":"2026-11-23T09:30:00Z","yes":1,"no":0,'
           b'"variants":{}}]')
END = b',"applications":[],' + COUNTED + b"}"

# Before and behind a value, and the pointer to it.
VALUE_PLACES = [
    (b'{"x":', END, "/x"),
    (b'{"x": [ 7 , ', b" ]" + END, "/x/1"),
    (b'{"x":[7,{"k":', b"}]" + END, "/x/1/k"),
    (b'{"applications":[],"x":' + b'[{"k":' * 20, b"}]" * 20 + b"," +
     COUNTED + b"}", "/x" + "/0/k" * 20),
    (b'{"applications":[],' + COUNTED[:-2] + b',"x":', b"}]}",
     "/metrics/0/x"),
]
# Likewise of a name; what is behind it begins with the colon.
NAME_PLACES = [
    (b"{", b":7" + END, ""),
    (b'{"x":[{"k":7, ', b" : [] }]" + END, "/x/0"),
    (b'{"applications":[],' + COUNTED[:-3] + b'"v":1,', b":2}}]}",
     "/metrics/0/variants"),
    (b'{"applications":[],"impactMetrics":[{"name":"n","help":"h",'
     b'"type":"gauge","samples":[{"value":null,"labels":{', b':"w"}}]}],' +
     COUNTED + b"}", "/impactMetrics/0/samples/0/labels"),
]


def in_bytes(text):
    return text if type(text) is bytes else text.encode()


def cases():
    for name, text in RIGHT.items():
        yield name, in_bytes(text), True
    for name, text in WRONG.items():
        yield name, in_bytes(text), False
    for name, (text, accepted, _) in CHOICES.items():
        yield name, in_bytes(text), accepted


class Placed:
    """A text in its place: a body, and whether it is to be accepted."""

    def __init__(self, name, before, text, behind, pointer, accepted):
        self.name = name
        self.body = before + text + behind
        self.start = len(before)
        self.pointer, self.accepted = pointer, accepted

    def trouble(self, pointer, offset):
        """What is wrong with the place of a fault, or None.

        It is at the text, in it, or after it; or it is an object around it
        that the text has closed too early, at its brace.
        """
        if not 0 <= offset <= len(self.body):
            return "the offset %d is beyond the body" % offset
        around = (self.pointer + "/").startswith(pointer + "/")
        if offset < self.start and not (
                around and self.body[offset:offset + 1] == b"{"):
            return "the offset %d is before %d" % (offset, self.start)
        if not around and not after(pointer.split("/"),
                                    self.pointer.split("/")):
            return "the pointer %s is not at %s" % (pointer, self.pointer)
        return None


def after(path, place):
    """Whether a path leads into a place, or to an element behind it."""
    for step, wanted in zip(path, place):
        if step != wanted:
            return step.isdigit() and wanted.isdigit() and \
                int(step) > int(wanted)
    return len(path) >= len(place)


def placed():
    """All texts in all their places."""
    for name, text, accepted in cases():
        for i, (before, behind, pointer) in enumerate(VALUE_PLACES):
            # What is just not too deep by itself is, in some places.
            yield Placed("%s, as value %d" % (name, i), before, text, behind,
                         pointer, accepted)
        if text[:1] == b'"':
            # Names of variants and labels may have 4 KiB.
            for i, (before, behind, pointer) in enumerate(NAME_PLACES):
                short = i < 2 or len(text) < 4096
                yield Placed("%s, as name %d" % (name, i), before, text,
                             behind, pointer, accepted and short)
        yield Placed(name + ", as a body", b"", text, b"", "", False)


def judgement():
    """The tables themselves, held against another parser."""
    wrong = [case.name for case in placed()
             if oracle.accepts(case.body) != case.accepted]
    equal(wrong, [], "Python's json sees all texts as the tables do")


def in_pieces():
    """Read in pieces of every size up to 64, of 4 KiB, and whole."""
    all_ = list(placed())
    # 393 KB in pieces of one byte take their time, and say nothing more.
    short = [case for case in all_ if len(case.body) < 20000]
    long = [case for case in all_ if len(case.body) >= 20000]
    wrong = []
    answers = verdicts([case.body for case in short])
    for case, got in zip(short, answers):
        why = None
        if got[0] not in ("ok", "invalid") or \
                (got[0] == "ok") != case.accepted:
            why = "got " + " ".join(got)
        elif got[0] == "invalid":
            why = case.trouble(json.loads('"%s"' % got[1]), int(got[2]))
        if why:
            wrong.append("%s: %s" % (case.name, why))
    equal(wrong[:20], [], "what is right is accepted and what is wrong is "
          "not, however it is cut")
    note("%d bodies in pieces of every size, %d long ones only over FastCGI"
         % (len(short), len(long)))


POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*", re.DOTALL)


def fault_of(answer):
    """What is wrong with the answer to what is wrong, or the place it has."""
    if answer.headers.get("content-type") != "application/problem+json":
        return "its type", None, None
    problem = json.loads(answer.body.decode("utf-8", "strict"))
    if problem["status"] != 400 or not POINTER.fullmatch(problem["pointer"]):
        return "its members", None, None
    return None, problem["pointer"], problem["offset"]


class Kept:
    """A connection that is made anew when the program has closed it.

    It closes one on which a body was refused that was still arriving.
    """

    def __init__(self, address):
        self.address = address
        self.connection = fcgi.Connection(address)

    def request(self, body, piece):
        for _ in range(2):
            try:
                return self.connection.request(fcgi.params(body), body,
                                               keep=True, piece=piece)
            except ConnectionError:
                self.connection.close()
                self.connection = fcgi.Connection(self.address)
        raise ConnectionError("a new connection is closed, too")

    def close(self):
        self.connection.close()


def ask(connection, case, piece):
    """Ask the program; return what is wrong with its answer, or None."""
    answer = connection.request(case.body, piece)
    if answer.status == 202 and case.accepted:
        return None if answer.body == b"{}" else "the body of 202"
    if answer.status != 400 or case.accepted:
        return "got %d %s" % (answer.status, answer.body.decode())
    why, pointer, offset = fault_of(answer)
    return why or case.trouble(pointer, offset)


def over_fastcgi():
    """The real program: what is accepted is in Redis, and it is unmoved."""
    all_ = list(placed())
    with Place() as place:
        redis = Redis(place, appendfsync="everysec")
        flagtally = Flagtally(place, redis, threads=2,
                              spool=place.file("spool.db"))
        pid, sizes, accepted = flagtally.pid, [], 0
        for number in range(3):
            wrong = []
            connection = Kept(flagtally.address)
            for case in all_:
                # Records of one byte only where they are few.
                piece = 65528 if number == 0 or len(case.body) > 3000 else (
                    1 if number == 1 else 7)
                why = ask(connection, case, piece)
                accepted += case.accepted
                if why:
                    wrong.append("%s: %s" % (case.name, why))
            connection.close()
            equal(wrong[:20], [], "%d requests get what they must, round %d"
                  % (len(all_), number + 1))
            sizes.append(flagtally.resident())
        key = "flagtally:{e:a}:2026-11-23"
        equal(redis("HGET", key, "f:yes"), str(accepted).encode(),
              "exactly what was accepted is in Redis")
        check(flagtally.running() and flagtally.pid == pid,
              "the process is the same")
        check(" error: " not in place.read(flagtally.log),
              "it has nothing to complain of",
              place.read(flagtally.log)[-2000:])
        note("resident after each round: %s KiB" % [
            size // 1024 for size in sizes])
        check(SANITIZER or sizes[2] - sizes[0] < 1 << 20,
              "memory does not grow from round to round", sizes)


run([judgement, in_pieces, over_fastcgi])
