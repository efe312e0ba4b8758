#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Makes a manual page of a public header: `mdoc.pl cnode/process.h >cnode_process.3`. The headers
# are the contract of the library, so they are its pages too, and neither can fall behind the other.
#
# It takes what the house style of the headers is: a comment at the head; sections that begin with a
# comment of dashes; a comment, and behind it without an empty line what it is about.
use strict;
use warnings;

my ($path) = @ARGV or die "usage: mdoc.pl cnode/NAME.h\n";
(my $name = $path) =~ s{.*/}{};
(my $base = $name) =~ s/\.h$//;
my $page = "cnode_$base";
open my $in, '<:encoding(UTF-8)', $path or die "$path: $!\n";
my $text = do { local $/; <$in> };
binmode STDOUT, ':encoding(UTF-8)';

# ---- reading ----

sub plain {    # a comment's text without its stars
	my ($c) = @_;
	$c =~ s{^/\*+ ?}{};
	$c =~ s{\s*\*/$}{};
	$c =~ s{^\s*\* ?}{}mg;
	$c =~ s{^\s+}{} unless $c =~ /\n/;
	$c =~ s/\A\n+//;
	return $c;
}

$text =~ s{^/\* SPDX[^\n]*\n}{};
$text =~ s{\A\s*(/\*.*?\*/)}{}s or die "$path: no comment at its head\n";
my $head = plain($1);
$text =~ s{^\#ifdef __cplusplus\n(.*?)\#endif\n}{}msg;
$text =~ s{^\#(?:ifndef \w+_H|define \w+_H|include[^\n]*|endif)[ \t]*(?:\n|\z)}{}mg;

my (@sections, @items, $item);    # a section: [title, items]; an item: {text, code, names}
@sections = (['', []]);
sub flush_item { push @{ $sections[-1][1] }, $item if $item; $item = undef; }
sub add {
	my ($code, $kind, @names) = @_;
	$item //= { text => '', code => [], functions => [], others => [] };
	push @{ $item->{code} }, $code;
	push @{ $item->{ $kind eq 'Fn' ? 'functions' : 'others' } }, map { [$kind, $_] } @names;
}

while (length $text) {
	if ($text =~ s{\A[ \t]*\n}{}) {
		flush_item();
	} elsif ($text =~ s{\A/\* ---- (.*?) ?-+ \*/\n}{}s) {
		flush_item();
		(my $title = $1) =~ s/\s*\n\s*\*?\s*/ /g;
		push @sections, [$title, []];
	} elsif ($text =~ s{\A(/\*.*?\*/)[ \t]*\n}{}s) {
		flush_item();
		$item = { text => plain($1), code => [], functions => [], others => [] };
	} elsif ($text =~ s{\A(\#define (\w+)(?:[^\n\\]|\\\n|\\.)*(?:\n(?=\t)[^\n]*)*)\n}{}s) {
		add($1, 'Dv', $2);
	} elsif ($text =~ s{\A(\#[^\n]*)\n}{}) {
		next;
	} elsif ($text =~ s{\A(static inline [^\n]*?(\w+)\([^)]*\)[^\n]*\n?(?:\{.*?^\}\n)?)}{}ms) {
		my ($code, $fn) = ($1, $2);
		$code =~ s/^static inline //;
		$code =~ s/\s*\{.*//s;
		$code =~ s/\n.*//s;
		add("$code;", 'Fn', $fn);
	} elsif ($text =~ s{\A(CNODE_API .*?;)[^\n]*\n}{}s) {
		my $code = $1;
		$code =~ s/^CNODE_API //;
		$code =~ s/\s*__attribute__\(\(.*\)\)//;
		$code =~ /(\w+)\(/ or die "$path: no function: $code\n";
		add($code, 'Fn', $1);
	} elsif ($text =~ s{\A(typedef (?:struct|union|enum) \w* ?\{.*?^\} (\w+);[^\n]*)\n}{}ms) {
		add($1, 'Vt', $2);
	} elsif ($text =~ s{\A((?:struct|enum) (\w+) \{.*?^\};[^\n]*)\n}{}ms) {
		my ($code, $tag) = ($1, $2);
		add($code, 'Vt', ($code =~ /^enum/ ? 'enum ' : 'struct ') . $tag);
	} elsif ($text =~ s{\A(typedef .*?;[^\n]*)\n}{}s) {
		my $code = $1;
		my $named = $code =~ /\(\*?(\w+)\)\s*\(/ ? $1 : $code =~ /(\w+)\s*\(/ ? $1 : $code =~ /(\w+);/ ? $1 : $code;
		add($code, 'Vt', $named);
	} else {
		$text =~ s{\A([^\n]*)\n?}{};
		die "$path: cannot make anything of: $1\n" if length $1;
	}
}
flush_item();

# ---- writing ----

sub escape {
	my ($s) = @_;
	$s =~ s/\\/\\e/g;
	$s =~ s/^([.'])/\\&$1/mg;
	return $s;
}

sub code { return ".Bd -literal\n" . escape($_[0]) . "\n.Ed\n"; }

# Prose with what is indented as it stands.
sub prose {
	my ($s) = @_;
	my $out = '';
	my $open = 0;
	for my $block (split /\n[ \t]*\n/, $s) {
		$block =~ s/\s+\z//;
		next if $block eq '';
		my @lines = split /\n/, $block;
		my $literal = '';
		my $plain = '';
		my $flush = sub {
			if ($plain ne '') {
				$plain =~ s/\n(?=.)/ /g;
				$plain =~ s/([.!?][)"]?) +(?=\S)/$1\n/g;    # each sentence begins a line
				$out .= ".Pp\n" if $open;
				$out .= escape($plain);
				$plain = '';
				$open = 1;
			}
			if ($literal ne '') { $out .= ".Bd -literal -offset indent\n$literal.Ed\n"; $literal = ''; $open = 1; }
		};
		for my $line (@lines) {
			if ($line =~ /^(?: {2}|\t)/) {
				$flush->() if $plain ne '';
				$literal .= escape($line =~ s/^ {2}//r) . "\n";
			} else {
				$flush->() if $literal ne '';
				$line =~ s/\t/ /g;
				$line =~ s/^\s+//;
				$plain .= "$line\n";
			}
		}
		$flush->();
	}
	return $out;
}

my @functions = map { map { $_->[1] } @{ $_->{functions} } } map { @{ $_->[1] } } @sections;
(my $about = $head) =~ s/\n\n.*//s;
$about =~ s/\s*\n\s*/ /g;
$about =~ s/^(.*?)\. .*/$1/;
$about =~ s/\.$//;
$about = lcfirst $about unless $about =~ /^(?:[A-Z]{2}|Erlang|Phoenix)/;

my $print_name = sub {
	my @names = @_ ? @_ : ($page);
	return join(" ,\n", map { ".Nm $_" } @names) . "\n";
};
print ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made of cnode/$name by mdoc.pl: change that.\n";
print ".Dd November 21, 2026\n.Dt \U$page\E 3\n.Os\n.Sh NAME\n";
print $print_name->($page, grep { $_ ne $page } @functions);
print ".Nd $about\n.Sh LIBRARY\nlibcnode (libcnode, \\-lcnode)\n.Sh SYNOPSIS\n.In cnode/$name\n";
for my $section (@sections) {
	for my $i (@{ $section->[1] }) {
		for my $c (@{ $i->{code} }) {
			next unless grep { $c =~ /\b\Q$_->[1]\E\(/ } @{ $i->{functions} };
			(my $one = $c) =~ s/\s+/ /g;
			$one =~ /^(.*?)(\w+)\((.*)\);$/ or next;
			my ($type, $fn, $args) = ($1, $2, $3);
			$type =~ s/\s+$//;
			my (@args, $depth) = ('');
			$depth = 0;
			for my $ch (split //, $args) {
				$depth += $ch eq '(' ? 1 : $ch eq ')' ? -1 : 0;
				if ($ch eq ',' && $depth == 0) { push @args, ''; next; }
				$args[-1] .= $ch;
			}
			s/^\s+|\s+$//g for @args;
			print ".Ft $type\n.Fo $fn\n", map({ ".Fa \"" . escape($_) . "\"\n" } @args), ".Fc\n";
		}
	}
}
print ".Sh DESCRIPTION\n", prose($head);
for my $section (@sections) {
	my ($title, $items) = @$section;
	next unless @$items;
	print ".Ss " . escape(ucfirst $title) . "\n" if $title ne '';
	my $open = 0;
	for my $i (@$items) {
		my @names = (@{ $i->{functions} }, @{ $i->{others} });
		if (!@names) {
			print ".El\n" if $open;
			$open = 0;
			my $p = prose($i->{text});
			print $title eq '' || $p =~ /^\.Bd/ ? ".Pp\n$p" : $p if $p ne '';
			next;
		}
		print ".Bl -tag -width Ds\n" unless $open;
		$open = 1;
		print ".It " . join(' , ', map { my ($k, $n) = @$_; $n =~ / / ? "$k \"$n\"" : "$k $n" } @names) . "\n";
		my $p = prose($i->{text});
		print $p;
		my @code = grep { my $c = $_; !grep { $c =~ /\b\Q$_->[1]\E\(/ } @{ $i->{functions} } } @{ $i->{code} };
		@code = @{ $i->{code} } if $p eq '' && !@code;
		print code(join "\n", @code) if @code;
	}
	print ".El\n" if $open;
}
print <<"END";
.Sh RETURN VALUES
Functions that can fail return 0 or a negative code of cnode/error.h
unless the text says otherwise.
.Sh SEE ALSO
END
my @others = grep { $_ ne $page } qw(cnode_error cnode_mailbox cnode_node cnode_process cnode_server cnode_spawn cnode_term);
print join(" ,\n", map { ".Xr $_ 3" } @others), " ,\n.Xr libcnode 3\n";
