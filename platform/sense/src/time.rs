use kernel::Timestamp;

/// Reads a time as files carry it: RFC 3339, a local time without zone (taken as UTC), a date, or
/// an epoch whose unit is told by its size.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return epoch_by_size(number);
    }
    let bytes = text.as_bytes();
    if bytes.len() < 10 || !text.is_char_boundary(10) || bytes[4] != b'-' {
        return None;
    }
    if bytes.len() == 10 {
        return format!("{text}T00:00:00Z").parse().ok();
    }
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let (date, time) = text.split_at(10);
    let time = time.trim_start_matches([' ', 'T']);
    format!("{date}T{time}Z").parse().ok()
}

/// Seconds below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds. The
/// bounds put every year from 1973 to 5138 into one unit only.
fn epoch_by_size(number: f64) -> Option<Timestamp> {
    let size = number.abs();
    let micros = if size < 1e11 {
        number * 1e6
    } else if size < 1e14 {
        number * 1e3
    } else if size < 1e17 {
        number
    } else {
        number / 1e3
    };
    let at = Timestamp::from_micros(micros.is_finite().then(|| micros.round() as i64)?);
    at.is_representable().then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_files_carry() {
        let at = Timestamp::from_secs(1_386_018_900);
        for text in [
            "2013-12-02 21:15:00",
            "2013-12-02T21:15:00Z",
            "2013-12-02T22:15:00+01:00",
            "2013-12-02 21:15:00.000",
            "1386018900",
            "1386018900000",
            "1386018900000000",
        ] {
            assert_eq!(parse_time(text), Some(at), "{text}");
        }
        assert_eq!(
            parse_time("2013-12-02").map(|t| t.to_string()).as_deref(),
            Some("2013-12-02T00:00:00Z")
        );
        for text in ["", "yesterday", "NaN", "inf", "2013-13-02 00:00:00", "1e300", "€€€€-€€"]
        {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
