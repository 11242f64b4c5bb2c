"""Cases of make_template_golden.py: one small template for each thing that templates do, and the chat they see."""

SNIPPET_MESSAGES = [("system", "  Be brief. "), ("user", "Hello"), ("assistant", "Hi!\n"),
                    ("user", "\u00dcn\u00efcode \u2713 <b>\"q\"</b>")]

SNIPPETS = [s for s in r"""
plain text
{{ 1 }}{{ 'a' }}{{ "b" }}{{ true }}{{ False }}{{ none }}{{ None }}{{ 1.0 }}
{{ missing }}|{{ missing | default('d') }}|{{ '' | default('d') }}|{{ '' | default('d', true) }}|{{ none | d('x') }}|{{ missing|d }}
{{ missing.x }}
{{ missing + 1 }}
{{ missing[0] }}
{{ missing() }}
{{ missing < 1 }}
{{ -missing }}
{{ missing ~ 'a' ~ none ~ 1 ~ true ~ 1.5 }}
{{ missing == other }}|{{ missing == none }}|{{ missing != 1 }}|{{ not missing }}|{{ missing in [1] }}|{{ 1 in missing }}
{{ messages[0].nothing }}|{{ messages[9] }}|{{ messages[-9] }}|{{ none.x }}|{{ (1).x }}|{{ 'a'.x }}
{{ messages[0].nothing.deeper }}
{{ missing in 'abc' }}
{{ missing | length }}|{{ missing | list }}|{{ missing | upper }}|{{ missing | trim }}|{{ missing | join }}|{{ missing | string }}|{{ missing | first }}
{{ missing | int }}
{{ missing | tojson }}
{{ [missing] }}|{{ [none, true, 1, 1.0, 'a'] }}
{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 // -2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 % -3 }}|{{ 7 / 2 }}|{{ 4 / 2 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ -2 ** 2 }}
{{ 7.5 // 2 }}|{{ -7.5 // 2 }}|{{ 7.5 % 2 }}|{{ -7.5 % 2 }}|{{ 1.5 + 1 }}|{{ 0.1 + 0.2 }}|{{ 2 * 1.5 }}|{{ 2 ** 0.5 }}|{{ 3 - 0.5 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1.0 % 0 }}
{{ 1e16 }}|{{ 1e15 }}|{{ 123456789.125 }}|{{ 1e-4 }}|{{ 1e-5 }}|{{ 1.5e300 }}|{{ 1e22 }}|{{ 5e-324 }}|{{ 0.1 }}|{{ 100.0 }}|{{ -0.0 }}|{{ 12.5e3 }}|{{ 2.5E+2 }}
{{ 1_000 }}|{{ 0x1F }}|{{ 0b101 }}|{{ 0o17 }}|{{ 1_0.2_5 }}|{{ 0 }}|{{ 00 }}|{{ 0xff_ff }}
{{ 007 }}
{{ 9223372036854775807 }}|{{ -9223372036854775807 - 1 }}
{{ true + 1 }}|{{ true * 3 }}|{{ -true }}|{{ true == 1 }}|{{ 1 == 1.0 }}|{{ false == 0 }}|{{ none == false }}
{{ '1' == 1 }}|{{ 'a' < 'b' }}|{{ 'B' < 'a' }}|{{ 'ab' > 'a' }}|{{ [1, 2] < [1, 3] }}|{{ (1,) == [1] }}|{{ [1] == [1.0] }}|{{ {'a': 1} == {'a': 1.0} }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < 1 }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 3 > 2 >= 2 }}|{{ 1 == 1 != 2 }}|{{ 1 in [1] in [[1]] }}
{{ 'a' + 'b' }}|{{ 'ab' * 2 }}|{{ 2 * 'ab' }}|{{ 'ab' * 0 }}|{{ 'ab' * -1 }}|{{ [1] + [2] }}|{{ [0] * 3 }}|{{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ 'a' - 'b' }}
{{ [1] + (2,) }}
{{ none + 'a' }}
{{ 'a' 'b' "c" }}|{{ 'it''s' }}|{{ "tab\there" }}|{{ 'nl\nx' }}|{{ 'q\'q' }}|{{ "d\"d" }}|{{ 'b\\b' }}|{{ '\x41\u00e9\U0001F600\101' }}|{{ 'un\known \%' }}
{{ '\xzz' }}
{{ '\u12' }}
{{ 'not closed }}
{{ 1 if true }}|{{ 1 if false }}|{{ 1 if false else 2 }}|{{ 1 if false else 2 if false else 3 }}|{{ (1 if false) is defined }}
{{ true and 'x' }}|{{ 0 or 'y' }}|{{ '' or none }}|{{ 0 and missing.x }}|{{ 1 or missing.x }}|{{ not 1 }}|{{ not not 'a' }}|{{ true and not false }}
{{ not true == false }}|{{ not 1 in [2] }}|{{ 1 not in [2] }}|{{ 'a' in 'cat' }}|{{ '' in 'cat' }}|{{ 'x' not in {'x': 1} }}|{{ 1 in (1, 2) }}
{{ 1 in 5 }}
{{ 1 in 'abc' }}
{{ [1, 2, 3][0] }}|{{ [1, 2, 3][-1] }}|{{ 'héllo'[1] }}|{{ 'héllo'[-1] }}|{{ {'a': 1}['a'] }}|{{ {'a': {'b': 2}}.a.b }}|{{ (1, 2).0 }}|{{ {1: 'x'}[1] }}|{{ {1: 'x'}[true] }}
{{ messages[1:] | length }}|{{ messages[:-1] | length }}|{{ messages[::-1][0].content }}|{{ [1,2,3,4,5][1:4] }}|{{ [1,2,3,4,5][::2] }}|{{ [1,2,3,4,5][-2:] }}|{{ [1,2,3,4,5][4:1:-1] }}|{{ [1,2,3][5:] }}|{{ [1,2,3][-9:2] }}|{{ (1,2,3)[1:] }}
{{ 'héllo'[1:3] }}|{{ 'héllo'[::-1] }}|{{ 'héllo'[:-1] }}|{{ 'héllo'[::2] }}|{{ 'héllo'[9:] }}|{{ 'abc'[2:0:-1] }}|{{ 'abc'[none:2] }}|{{ 'abc'[-100:100:7] }}
{{ [1][::0] }}
{% set n = none %}{{ n[1:] }}
{{ 5[0] }}|{{ [1]['x'] }}|{{ 'abc'['upper']() }}|{{ {'a': 1}[[1]] }}
{{ [1, 2,] }}|{{ (1, 2,) }}|{{ (1,) }}|{{ () }}|{{ [] }}|{{ {} }}|{{ {'a': 1,} }}|{{ 1, 2 }}
{{ {'a': [1, {'b': none}], "it's": "x\n\"", 3: true} }}
{{ ['\u00e9', '\x00\x1f\x7f\u00a0\u200b\ue000', 'a\\b', "'", '"', "'\""] }}
{{ {'a': 1, 'a': 2} }}|{{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ {[1]: 2} }}
{{ {'a': 1}.items() | list }}|{{ {'a': 1}.keys() | list }}|{{ {'a': 1}.values() | list }}|{{ {'a': 1}.get('a') }}|{{ {'a': 1}.get('b') }}|{{ {'a': 1}.get('b', 5) }}
{{ {'items': 1}['items'] }}|{{ {'content': 1}.content }}|{{ messages[0]['role'] }}|{{ messages[0].role }}|{{ messages[0].get('role') }}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in {'a': 1, 'b': 2} | items %}{{ k }}={{ v }}{{ ", " if not loop.last }}{% endfor %}
{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}|{% for c in 'héy' %}{{ c }}.{% endfor %}
{% for a, (b, c) in [(1, (2, 3)), [4, [5, 6]]] %}{{ a + b + c }} {% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for a, b in [(1,)] %}{% endfor %}
{% for a, b in [5] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in missing %}x{% else %}none{% endfor %}
{% for x in [] %}x{% else %}empty{% endfor %}|{% for x in [1] %}x{% else %}empty{% endfor %}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}
{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}<{{ m.role }}>{{ loop.nextitem.role if loop.nextitem is defined else '-' }} {% endfor %}
{% for m in messages %}{{ loop.cycle('a', 'b', 'c') }}{{ loop.changed(m.role == 'user') }}{% endfor %}
{% for x in [1, 2, 3, 4, 5, 6] if x is odd %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}
{% for x in [1, 2, 3] if x > 5 %}{{ x }}{% else %}nothing{% endfor %}
{% for x in range(3) %}{% for y in range(2) %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }};{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in range(3) %}{% with y = x %}{% if y == 1 %}{% break %}{% endif %}{{ y }}{% endwith %}{% endfor %}
{% break %}
{% for x in [1] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{{ range(5) | list }}|{{ range(2, 5) | list }}|{{ range(5, 0, -2) | list }}|{{ range(0) | list }}|{{ range(-3) | list }}|{{ range(3)[1] }}
{{ range(1, 2, 0) }}
{{ range(100001) }}
{{ range() }}
{{ range('a') }}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% if false %}{% set y = 2 %}{% endif %}{{ y is defined }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}
{% set a = 1, 2 %}{{ a }}
{% set (a, b) = [3, 4] %}{{ a }}{{ b }}
{% set a, b = [1, 2, 3] %}
{% set true = 1 %}
{% set x %}block {{ 1 + 1 }}{% set inner = 5 %}{% endset %}{{ x }}|{{ inner is defined }}
{% set x | upper | trim %}  block {{ 'a' }}  {% endset %}{{ x }}
{% set ns = namespace(a=1, b='x') %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}{% set ns.c = [1] %}{{ ns.c }}{{ ns }}
{% set d = {'a': 1} %}{% set d.b = 2 %}
{% set nothing.b = 2 %}
{{ dict(a=1, b=2) }}|{{ dict({'x': 1}, y=2) }}|{{ dict() }}
{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 3) }}|{{ f(1, c='y') }}|{{ f(b=5, a=4) }}|{{ f() }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, z=2) }}
{% macro f(a, b=a) %}{{ a is defined }}{% endmacro %}{{ f(1) }}
{% macro fact(n) %}{{ n * (fact(n - 1) | int) if n > 1 else 1 }}{% endmacro %}{{ fact(10) }}
{% macro f() %}{{ outer }}{% set outer = 3 %}{{ outer }}{% endmacro %}{% set outer = 1 %}{{ f() }}{{ outer }}
{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a') | upper ~ f('b') }}{{ f(f('c')) }}{{ f('é') | length }}
{% macro f() %}  spaced  {% endmacro %}<{{ f() }}>{{ f is defined }}{{ f is callable }}
{% macro f(a=1, b) %}{% endmacro %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a is defined }}{{ c is defined }}
{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% filter upper %}text {{ 'x' }}{% endfilter %}|{% filter replace('a', 'b') | trim %} aaa {% endfilter %}
{% generation %}said {% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}
{% raw %}{{ not }} {% evaluated %} {# kept #}{% endraw %}
a {%- raw -%}  {{ x }}  {%- endraw -%}  b
{% raw %}no end
{# comment #}a{#- comment -#}  b  {#- c -#}  d{# {{ x }} {% y %} #}
{# no end
a {{- 1 -}} b {{ 2 -}} c {{- 3 }} d
a {%- if true -%} b {%- endif -%} c
{{ '}}' }}{{ '%}' }}{{ "{{" }}{{ {'a': {'b': 1}} }}{{ {'a': 1}['a'] }}
{{ ( 1 + 2 ) * 3 }}|{{ [ [ 1 ] , [ 2 ] ] [ 1 ] [ 0 ] }}|{{ - - 3 }}|{{ +5 }}|{{ -5 | abs }}|{{ (-5) | abs }}
{{ (1 + 2) ~ 3 ~ (4 + 5) }}|{{ 1 ~ 2 * 3 }}|{{ 'a' ~ 'b' | upper }}|{{ -1 ** 2 }}|{{ 2 ** 3 ** 2 }}|{{ 10 - 2 - 3 }}
{{ 'Hello World' | upper }}|{{ 'Hello World' | lower }}|{{ 'hello wORLD-foo (bar) [baz] x' | title }}|{{ 'hello wORLD' | capitalize }}|{{ '  x ' | trim }}|{{ 'xxaxx' | trim('x') }}
{{ 'straße ÄÖÜ éà ñ ŭ Ж' | upper }}|{{ 'ÄÖÜ ÉÀ Ñ Ж' | lower }}|{{ 'élan vital' | capitalize }}|{{ 'ß' | upper }}
{{ "they're bill's friends, O'NEIL 3rd x2y" .title() }}|{{ 'éa ÀB'.title() }}|{{ 'HELLO there'.capitalize() }}
{{ '  a b '.strip() }}|{{ '  a'.lstrip() }}|{{ 'a  '.rstrip() }}|{{ 'xyaxy'.strip('yx') }}|{{ '\u00a0\u2003a\u3000\x1f'.strip() }}|{{ 'éaé'.strip('é') }}|{{ '\n\na\n'.strip('\n') }}|{{ 'aXb'.strip('') }}|{{ ' a '.strip(none) }}
{{ 'abc'.startswith('ab') }}|{{ 'abc'.startswith('b') }}|{{ 'abc'.endswith('bc') }}|{{ 'abc'.endswith('') }}|{{ 'abc'.startswith(('x', 'a')) }}|{{ 'a'.startswith('abc') }}
{{ 'abc'.startswith(1) }}
{{ 'a,b,,c'.split(',') }}|{{ ' a  b\tc\n'.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ ' a b  c '.split(none, 1) }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'abab'.split('ab') }}|{{ 'a<>b'.split('<>')[-1] }}|{{ 'a'.split('b') }}
{{ 'a'.split('') }}
{{ 'a\nb\r\nc\rd\n'.splitlines() }}|{{ 'a\nb'.splitlines(true) }}|{{ ''.splitlines() }}|{{ '\n'.splitlines() }}|{{ 'a\x0bb\u2028c'.splitlines() }}
{{ 'aaa'.replace('a', 'b') }}|{{ 'aaa'.replace('a', 'b', 2) }}|{{ 'abc'.replace('', '-') }}|{{ 'é'.replace('é', 'e') }}|{{ 'abc'.replace('x', 'y') }}|{{ 'aaa' | replace('aa', 'b') }}|{{ 112 | replace(1, 'x') }}|{{ 'abc'.replace('', '-', 2) }}|{{ ''.replace('', 'x') }}|{{ 'aaa' | replace('a', 'b', 1) }}|{{ 'aba' | replace('a', '') }}
{{ 'abcb'.find('b') }}|{{ 'éb'.find('b') }}|{{ 'abc'.find('x') }}|{{ 'abcb'.count('b') }}|{{ 'aaaa'.count('aa') }}|{{ 'ab'.count('') }}|{{ '-'.join(['a', 'b']) }}|{{ '-'.join('abc') }}
{{ '-'.join([1]) }}
{{ 'A'.lower() }}{{ 'a'.upper() }}{{ 'a'.upper().lower().upper() }}
{{ 'a'.nothing() }}
{{ [1].append(2) }}
{{ 5() }}
{{ 'a'() }}
{{ [1, 2, 3] | length }}|{{ 'héllo' | length }}|{{ {'a': 1} | length }}|{{ '' | count }}|{{ messages | count }}
{{ 5 | length }}
{{ none | length }}
{{ [1, 'a', none] | join(', ') }}|{{ 'abc' | join('-') }}|{{ messages | join('/', attribute='role') }}|{{ [] | join('x') }}|{{ [1, 2] | join(3) }}|{{ {'a': 1, 'b': 2} | join }}
{{ 5 | join }}
{{ [3, 1] | first }}|{{ [3, 1] | last }}|{{ 'abc' | first }}|{{ 'abc' | last }}|{{ [] | first }}|{{ {'a': 1} | first }}|{{ messages | map(attribute='role') | first }}
{{ 'abc' | list }}|{{ (1, 2) | list }}|{{ {'a': 1} | list }}|{{ [1, 2] | reverse | list }}|{{ 'abc' | reverse }}
{{ '42' | int }}|{{ ' 42 ' | int }}|{{ 'x' | int }}|{{ 'x' | int(7) }}|{{ '3.7' | int }}|{{ 3.9 | int }}|{{ -3.9 | int }}|{{ true | int }}|{{ none | int }}|{{ '1_000' | int }}|{{ 'ff' | int(0, 16) }}|{{ '0x1f' | int(0, 16) }}|{{ '-7' | int }}|{{ '' | int }}|{{ '1e3' | int }}|{{ 'inf' | int }}|{{ [] | int(default=3) }}|{{ '0b11' | int(base=2) }}
{{ '3.5' | float }}|{{ '1e3' | float }}|{{ 'x' | float }}|{{ 'x' | float(1.5) }}|{{ 3 | float }}|{{ ' -2. ' | float }}|{{ 'inf' | float }}|{{ 'nan' | float }}|{{ '1_0.5' | float }}|{{ '_1' | float }}|{{ '0x1' | float }}|{{ '.5' | float }}|{{ none | float }}
{{ 1 | string + 'a' }}|{{ none | string }}|{{ [1, 'a'] | string }}|{{ 1.5 | string }}|{{ '<b>' | safe }}|{{ 5 | safe }}
{{ {'a': 1, 'b': [true, none, 1.5, 'x"\n\té/<>&\u2028']} | tojson }}|{{ 'é' | tojson }}|{{ [] | tojson }}|{{ {} | tojson }}|{{ (1, 2) | tojson }}|{{ '\x00\x7f\x1f\\' | tojson }}|{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}
{{ {'b': [1, {'c': []}], 'a': {}} | tojson(indent=2) }}
{{ [1, [2]] | tojson(indent=0) }}|{{ [1] | tojson(indent='--') }}|{{ [1] | tojson(indent=none) }}
{{ {'b': 1, 'a': [2, 3]} | tojson(separators=(',', ':'), sort_keys=true) }}|{{ 'é😀\x7f' | tojson(ensure_ascii=true) }}|{{ 'é' | tojson(true) }}
{{ {(1, 2): 3} | tojson }}
{{ namespace() | tojson }}
{{ messages | tojson }}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('|') }}|{{ messages | rejectattr('role', '==', 'user') | list | length }}|{{ messages | selectattr('tool_calls') | list }}|{{ messages | selectattr('tool_calls', 'defined') | list }}|{{ messages | rejectattr('x', 'defined') | list | length }}
{{ [1, 2, 3, 4] | select('odd') | list }}|{{ [1, 2, 3, 4] | reject('divisibleby', 2) | list }}|{{ [0, 1, ''] | select | list }}|{{ [0, 1, ''] | reject | list }}|{{ [1, 5] | select('gt', 2) | list }}|{{ ['a', 'b'] | select('in', ['b']) | list }}
{{ ['a', 'b'] | map('upper') | list }}|{{ [1, 2] | map('string') | join('+') }}|{{ ['a-b'] | map('replace', '-', '_') | first }}|{{ [{'a': {'b': 1}}, {'a': {}}] | map(attribute='a.b') | list }}|{{ [[1, 2], [3]] | map(attribute=0) | list }}|{{ [{'a': 1}, {}] | map(attribute='a', default='-') | list }}
{{ [1] | map('nofilter') | list }}
{{ [1] | select('notest') | list }}
{{ [1] | map | list }}
{{ {'b': 2, 'a': 1} | items | list }}|{{ missing | items | list }}
{{ [1] | items | list }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb\n' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ '' | indent(first=true) }}
{{ 'a' | nofilter }}
{% if false %}{{ 'a' is notest }}{% endif %}ok
{{ 'a' is notest }}
{{ 'a' | upper(1) }}
{{ 'a' | replace('b') }}
{{ 'a' | default(nokey=1) }}
{{ messages is defined }}|{{ missing is undefined }}|{{ messages is not defined }}|{{ messages[0].content is defined }}|{{ messages[0].tool_calls is defined }}|{{ strftime_now is defined }}|{{ range is callable }}
{{ none is none }}|{{ 0 is none }}|{{ missing is none }}|{{ none is not none }}|{{ 'a' is string }}|{{ 1 is string }}|{{ {} is mapping }}|{{ [] is mapping }}|{{ namespace() is mapping }}|{{ missing is string }}
{{ [] is iterable }}|{{ 'a' is iterable }}|{{ {} is iterable }}|{{ 1 is iterable }}|{{ none is iterable }}|{{ missing is iterable }}|{{ [] is sequence }}|{{ 'a' is sequence }}|{{ {} is sequence }}|{{ 1 is sequence }}
{{ 1 is number }}|{{ 1.5 is number }}|{{ true is number }}|{{ '1' is number }}|{{ 1 is integer }}|{{ true is integer }}|{{ 1.0 is float }}|{{ 1 is float }}|{{ true is boolean }}|{{ 1 is boolean }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 0 is false }}
{{ 3 is odd }}|{{ 4 is even }}|{{ 4 is odd }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}|{{ 1 is eq 1 }}|{{ 1 is ne(2) }}|{{ 1 is lt 2 }}|{{ 1 is greaterthan(2) }}|{{ 'a' is in 'abc' }}|{{ 1 is in [1] }}|{{ true is sameas true }}|{{ 1 is sameas 1.0 }}|{{ 'a' is lower }}|{{ 'A' is upper }}|{{ 'aB' is lower }}|{{ '1' is lower }}
{{ 'a' is odd }}
{{ 1 is eq }}
{{ 1 is defined is true }}
{{ not missing is defined }}|{{ missing is not defined and 1 }}|{{ missing is defined or 'b' }}|{{ 'x' if missing is defined else 'y' }}|{{ -1 is number }}|{{ 'a' ~ 1 is string }}
{{ 1 + 2 ~ 3 }}
{{ raise_exception('words') }}
{% if false %}{{ raise_exception('never') }}{% endif %}fine
{{ raise_exception() }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S') }}|{{ strftime_now('%A, %B %j %y %I %p %%') }}|{{ strftime_now('') }}
{{ strftime_now(5) }}
{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}
{{ messages[0].content | trim }}|{{ messages[-1]['content'][:4] | upper }}|{{ messages[1:][0]['content'] + '!' }}|{{ messages[2].content ~ messages[2].role }}
{% for message in messages[::-1] %}{% set index = (messages | length - 1) - loop.index0 %}{{ index }}{{ message.role }} {% endfor %}
{%- set loop_messages = messages[1:] if messages[0].role == 'system' else messages %}{{ loop_messages | length }}{{ loop_messages[0]['role'] }}
{% if messages[0]['role'] == 'user' %}a{% elif messages[0]['role'] == 'system' %}b{% elif true %}c{% else %}d{% endif %}
{% if 0 %}a{% elif '' %}b{% else %}d{% endif %}{% if [] %}x{% endif %}{% if [0] %}y{% endif %}{% if {} %}x{% endif %}{% if none %}x{% endif %}{% if 0.0 %}x{% endif %}{% if ' ' %}z{% endif %}
{% if true %}no end
{% if true %}{% endfor %}
{% for x in [1] %}
{% endif %}
{% else %}
{% unknown %}
{% set %}
{% set x = %}
{% %}
{{ }}
{{ 1 + }}
{{ (1 }}
{{ [1 }}
{{ 1) }}
{{ (1] }}
{{ {'a' 1} }}
{{ a b }}
{{ 'a' | }}
{{ a. }}
{{ a.b.'c' }}
{{ 1 is }}
{{ ? }}
{{ a ! b }}
{{ f(a=1, 2) }}
{{ x
{% if x
{{ loop is defined }}|{{ 'in' if loop is defined else 'out' }}
{% for x in [1] %}{{ loop }}{{ loop | length }}{% endfor %}
{% set x = [] %}{% set x = x + [1] %}{% set x = x + [2] %}{{ x }}
{{ [1, [2, (3, {'a': 'b'})]] }}|{{ 'a' in ['a'] and 'b' not in ['a'] }}|{{ ('a', 'b')[1] }}
{{ messages == messages }}|{{ messages[0] == messages[0] }}|{{ messages[0] == messages[1] }}|{{ messages[0] in messages }}
a}} b %} c #} d { { e {{ 'f' }}
{{'a'}}{{'b'}} {{-'c'-}} {{'d'}}
{%if true%}a{%endif%}{%-if true-%} b {%-endif-%}{{'x'}}
{% if true: %}colon{% endif %}
{{ true if 1 else 2 }}{{ True }}{{ none is none }}{{ None == none }}
{{ 'a' if 'b' in 'abc' and not 'x' in 'abc' else 'c' }}
{{ (messages | last).content | length }}|{{ messages | map(attribute='content') | map('trim') | map('length') | list }}
{{ 7 // -1 }}|{{ 7 % -1 }}|{{ 0 ** 0 }}|{{ 7.0 / 2 }}|{{ 6.0 % -3 }}|{{ 6.0 // -3 }}|{{ -6.5 % 3 }}|{{ 0.0 // 1 }}|{{ (-3) ** 3 }}|{{ 1.5 ** 2 }}
{{ 0 ** -1 }}
{{ 0.0 ** -1 }}
{{ -'a' }}
{{ 1 <= 1 }}|{{ 2 <= 1 }}|{{ 'a' <= 'b' }}|{{ [1, 2] < [1] }}|{{ [1] <= [1, 2] }}|{{ [] < [1] }}|{{ ('nan' | float) <= 1 }}|{{ ('nan' | float) >= 1 }}
{% set n = namespace() %}{{ n == n }}|{{ n == namespace() }}|{{ range == range }}|{{ range == dict }}|{{ 'yes' if n }}{{ 'yes' if range }}|{{ 'a'.upper == 1 }}
{% macro f() %}{% endmacro %}{{ f == f }}|{% for x in [1] %}{{ 'l' if loop }}{{ loop == loop }}{% endfor %}
{{ 5 | indent }}
{{ missing | indent }}
{{ [1] | tojson(separators=',') }}
{{ 1.5 | float }}|{{ -1.5 | abs }}|{{ (-1.5) | abs }}|{{ true | abs }}
{{ missing | float }}
{{ 'a' | abs }}
{{ messages | selectattr | list }}
{{ 1 is le 1 }}|{{ 1 is ge 2 }}|{{ [1, 2, 3] | select('<=', 2) | list }}|{{ [1, 2, 3] | reject('>=', 2) | list }}|{{ [1, 2] | select('!=', 2) | list }}
{{ 1e999 }}|{{ 1e999 | tojson }}|{{ -1e999 | tojson }}|{{ 'nan' | float | tojson }}
{{ 1e999 | int }}
{{ 'a'.replace(1, 2) }}
{{ dict(5) }}
{{ a[] }}
{{ 'a' | upper()('x') }}
{% set 5 = 1 %}
{% for x of y %}{% endfor %}
{% for 5 in [1] %}{% endfor %}
{{ {'a': 1, 2: 3} | tojson(sort_keys=true) }}
{{ [0, none, false, ''] | map('string') | list }}|{{ none | map('upper') | list }}|{{ 0 | select | list }}|{{ false | rejectattr('x') | list }}
{{ 5 | map('upper') | list }}
{{ none | list }}
{% for x in [1, 2] %}{% break %}{% else %}else{% endfor %}|{% for x in [1, 2] %}{% continue %}{% else %}else{% endfor %}|{% for x in [1, 2] %}{% if x == 2 %}{% break %}{% endif %}{% else %}else{% endfor %}
{% for x in [1, 2] %}{{ x }}{% for y in [] %}{% else %}{% break %}{% endfor %}after{% endfor %}
{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}
{{ 'ǆ' | upper }}{{ 'ǆ'.title() }}{{ 'ǆ' | title }}{{ 'ß'.title() }}{{ 'ß' | title }}{{ 'ß' | capitalize }}{{ 'İ' | length }}
{{ 'a'.strip(1) }}
{{ 'x'.upper(y=1) }}
{{ messages[0].content[1:].strip().split(' ')[-1].rstrip('.') | upper }}
{{ "\a\b\f\v\n\r\t\0" | length }}|{{ '\u0041\x42\103' }}
{{ [1, 2, 3]|first + ([4]|last) }}|{{ 'a-b-c'.split('-', 0) }}|{{ 'a b'.split(none, 0) }}|{{ ' a '.split(maxsplit=1) }}
{% set ns = namespace(on=true) %}{% for m in messages if ns.on %}{{ m.role }} {% set ns.on = m.role != 'user' %}{% endfor %}
{% set ns = namespace(n=0) %}{% for x in range(9) if ns.n < 3 %}{% set ns.n = ns.n + 1 %}{{ loop.index }}{{ loop.last }}{{ loop.nextitem }} {% endfor %}
{% set ns = namespace(n=0) %}{% for x in range(6) if ns.n < 3 %}{% set ns.n = ns.n + 1 %}{{ loop.length }}{{ loop.revindex }}{{ loop.previtem }} {% endfor %}
{% set ns = namespace(n=0) %}{% for x in range(6) if x != ns.n %}{% set ns.n = ns.n + 2 %}{{ x }}{{ loop }} {% endfor %}
{% for x in [1, 2, 3] if x is odd %}{{ loop.index }}{{ loop.last }}{{ loop.revindex0 }}{{ loop | length }}{% endfor %}
{% for x in [1, 2] if x.y.z %}{% endfor %}
{{ ' ' | trim == '' }}|{{ ('a' | upper) ~ 'b' }}|{{ 'a' | upper | lower | replace('a', 'z') | default('q') }}
""".strip("\n").split("\n")]

# Those with newlines, which is what white space control is about.
SNIPPETS += [
    "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "a\n   {% if true %}   \nb\n   {% endif %}\nc",
    "  {% if true %}x{% endif %}  \n  y",
    "a\n   {%+ if true %}\nb\n   {%+ endif %}\nc",
    "{% if true +%}\nb\n{% endif +%}\nc",
    "{% if true %}\n\nb\n{% endif %}\n\nc\n\n",
    "a\n\n  {%- if true -%}\n\n  b\n\n  {%- endif -%}\n\n  c",
    "a\n  {# comment #}\nb\n  {#- comment -#}\nc\n{#+ comment +#}\nd",
    "a\n  {{ 1 }}\n  b {{ 2 }}\n\n{{ 3 -}}\n\n c {{- 4 }}\n",
    "\n\n{{ 1 }}\n\n",
    "\r\na\r\nb\rc\n{% if true %}\r\nd\r\n{% endif %}\r\n",
    "{{ 'line\nbreak' }}|{{ 'a\r\nb' | length }}|{{ 'a\\\nb' }}",
    "x {% raw %}\n {{ y }}\n  {% endraw %}\nz",
    "x\n  {%- raw %}\n {{ y }}\n  {%- endraw -%}\nz",
    "{% for x in [1, 2] %}\n  {{ x }}\n{% endfor %}\nend",
    "{% for x in [1, 2] -%}\n  {{ x }}\n{%- endfor %}\nend",
    "{% for x in [1, 2] %}\n\t{% if x == 1 %}\n\t\tone\n\t{% else %}\n\t\tother\n\t{% endif %}\n{% endfor %}",
    "\u00a0{% if true %}\u00a0{%- endif %}\u2003x\u2003{{- 1 -}}\u2003y",
    "{{ 1 }}\n{% set x = 1 %}\n{{ x }}\n{% set y %}\nblock\n{% endset %}\n[{{ y }}]\n",
    "{% macro f(x) %}\n<{{ x }}>\n{% endmacro %}\n{{ f(1) }}\n{{- f(2) -}}\n!",
    "{{ [1,\n 2,\n 3] }}{{ {'a':\n 1} }}\n{% set x\n = 5 %}\n{{ x\n}}",
    "{% if true %}{% endif %}\n{% if true %}{{ '' }}{% endif %}\nq",
    "a {% if true %} b {% endif %} c\n {% if true %} {% endif %} \nd",
    "a{#\nmulti\nline\n#}\nb\n    {# x #}    \nc",
    "",
    "\n",
    "{% if true %}\n",
]
