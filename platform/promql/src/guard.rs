//! What is looked at before the parser sees a text.
//!
//! The parser is recursive where it checks types and drops its tree, and it takes a bare number
//! for a duration without a look at its size. So the length and the number of words are bounded
//! first, and a duration must have a unit, as Prometheus demands.

use crate::PromqlError;

/// Longest query in bytes; Grafana's largest dashboards stay below 4 KiB.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most words and signs of a query: bounds how deep its tree can be.
pub const WORDS_MAX: usize = 2_000;

pub(crate) fn check(text: &str) -> Result<(), PromqlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(PromqlError::TooMany { what: "bytes of text", max: TEXT_BYTES_MAX });
    }
    let mut rest = text;
    let mut words = 0;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' | '\'' | '`' => after_string(rest, first),
            '#' => rest.find('\n').map_or("", |end| &rest[end..]),
            '[' => after_brackets(&rest[1..])?,
            c if is_word(c) => {
                let (word, after) = split_word(rest);
                if word.eq_ignore_ascii_case("offset") { after_offset(after)? } else { after }
            }
            c => &rest[c.len_utf8()..],
        };
        words += usize::from(!first.is_whitespace());
        if words > WORDS_MAX {
            return Err(PromqlError::TooMany { what: "words", max: WORDS_MAX });
        }
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()))
}

/// What follows the string that `text` begins with.
fn after_string(text: &str, quote: char) -> &str {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return &text[at + 1..];
        }
        if c == '\\' && quote != '`' {
            chars.next();
        }
    }
    ""
}

/// `5m]`, `5m:]` or `5m:30s]`; the bracket and what follows is left.
fn after_brackets(text: &str) -> Result<&str, PromqlError> {
    let after = after_duration(text)?.trim_start();
    let Some(step) = after.strip_prefix(':') else { return Ok(after) };
    let step = step.trim_start();
    if step.starts_with(']') { Ok(step) } else { after_duration(step) }
}

fn after_offset(text: &str) -> Result<&str, PromqlError> {
    let value = text.trim_start().trim_start_matches(['-', '+']).trim_start();
    let (word, _) = split_word(value);
    let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || ["inf", "nan"].iter().any(|name| word.eq_ignore_ascii_case(name));
    if number { after_duration(value) } else { Ok(text) }
}

fn after_duration(text: &str) -> Result<&str, PromqlError> {
    let (word, after) = split_word(text.trim_start());
    if is_duration(word) {
        return Ok(after);
    }
    Err(PromqlError::Syntax(format!("`{word}` is no duration such as `5m` or `1h30m`")))
}

fn is_duration(word: &str) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let after = unit.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let (count, unit) = (&rest[..rest.len() - unit.len()], &unit[..unit.len() - after.len()]);
        // A count that fits no u32 is taken for nothing by the parser.
        if count.parse::<u32>().is_err() || !["y", "w", "d", "h", "m", "s", "ms"].contains(&unit) {
            return false;
        }
        rest = after;
    }
    !word.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_a_sane_count() {
        for text in ["x[5m]", "x[ 5m : ]", "x[1h30m:15s] offset -2w", "sum by (offset) (x)"] {
            assert!(check(text).is_ok(), "{text}");
        }
        for text in
            ["x[5]", "x[1e300]", "x offset 1e+300", "x offset inf", "x[5m:3]", "x[99999999999s]"]
        {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_in_strings_does_not_count() {
        assert!(check(r#"x{a="[5]\"[1e300]"} # [7]"#).is_ok());
        assert!(check("x{a=`\\`} offset 1").is_err());
    }

    #[test]
    fn length_and_words_are_bounded() {
        assert!(matches!(check(&"x".repeat(20_000)), Err(PromqlError::TooMany { .. })));
        assert!(matches!(check(&"-".repeat(3_000)), Err(PromqlError::TooMany { .. })));
    }
}
