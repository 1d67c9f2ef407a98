//! The upstream's list of features (RFC 2389 3): its own words, less those that are not offered through us.

use super::reply::Reply;
use super::verb::Verb;

/// Leaves out the features that `keep` turns down; it is asked with each feature line, trimmed.
///
/// The first and the last line stay, empty inner lines too, and so does every reply that is no 211.
#[must_use]
pub fn filter_feat(reply: &Reply, mut keep: impl FnMut(&[u8]) -> bool) -> Reply {
    if reply.code().get() != 211 {
        return reply.clone();
    }
    let last = reply.lines().count().saturating_sub(1);
    let kept = reply.lines().enumerate().filter(|(at, line)| {
        let feature = feature_of(line);
        *at == 0 || *at == last || feature.is_empty() || keep(feature)
    });
    Reply::from_lines(reply.code(), kept.map(|(_, line)| line))
}

/// Adds features of ours to a 211; where a server knows no FEAT, or not yet, they are all that there is.
#[must_use]
pub fn with_features(reply: Reply, ours: &[&str]) -> Reply {
    if ours.is_empty() {
        return reply;
    }
    match reply.code().get() {
        211 => {
            let lines: Vec<&[u8]> = reply.lines().collect();
            let inner = match lines.as_slice() {
                [_, inner @ .., _] => inner,
                [] | [_] => &[],
            };
            let first = match lines.as_slice() {
                [first, _, ..] => first,
                [] | [_] => b"211-Features:".as_slice(),
            };
            let last = match lines.as_slice() {
                [_, .., last] => last,
                [] | [_] => b"211 End".as_slice(),
            };
            let ours: Vec<String> = ours.iter().map(|one| format!(" {one}")).collect();
            let all = [first]
                .into_iter()
                .chain(inner.iter().copied())
                .chain(ours.iter().map(String::as_bytes))
                .chain([last]);
            Reply::from_lines(reply.code(), all)
        }
        500..=504 | 530 => {
            let ours = ours.iter().map(|one| format!(" {one}"));
            Reply::multi(211, "Features:", ours, "End")
        }
        _ => reply,
    }
}

/// Gives the feature in an inner line; some servers write `211-` before each.
fn feature_of(line: &[u8]) -> &[u8] {
    let feature = line.trim_ascii();
    feature
        .strip_prefix(b"211-")
        .unwrap_or(feature)
        .trim_ascii()
}

/// Gives the verb that a feature line announces: `AUTH TLS` is AUTH, `MLST size*;` is MLST, `REST STREAM` is REST.
///
/// Features that announce no command, such as `UTF8` and `TVFS`, give [`Verb::Unknown`].
#[must_use]
pub fn feature_verb(feature: &[u8]) -> Verb {
    let feature = feature.trim_ascii();
    let word = feature
        .split(|byte| matches!(byte, b' ' | b'\t' | b';'))
        .next()
        .unwrap_or_default();
    Verb::parse(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_left_out_and_the_upstreams_other_words_stay() {
        let features = [
            " AUTH TLS",
            " EPSV",
            "",
            "  MLST size*;modify*;",
            "211-SPSV",
            " UTF8",
        ];
        let reply = Reply::multi(211, "Extensions supported:", features, "End.");
        let filtered = filter_feat(&reply, |feature| {
            assert_eq!(feature, feature.trim_ascii());
            !matches!(feature_verb(feature), Verb::Auth | Verb::Spsv)
        });
        let kept: Vec<_> = filtered.lines().collect();
        let expected: [&[u8]; 6] = [
            b"211-Extensions supported:",
            b" EPSV",
            b"",
            b"  MLST size*;modify*;",
            b" UTF8",
            b"211 End.",
        ];
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_first_and_the_last_line_are_never_asked_about() {
        for reply in [
            Reply::new(211, "AUTH TLS"),
            Reply::multi(211, "AUTH TLS", [""; 0], "AUTH TLS"),
        ] {
            assert_eq!(filter_feat(&reply, |_| false), reply);
        }
        let other = Reply::multi(214, "Help", [" AUTH"], "End");
        assert_eq!(filter_feat(&other, |_| false), other);
    }

    #[test]
    fn features_are_known_by_their_verb() {
        for (feature, verb) in [
            (b"AUTH TLS".as_slice(), Verb::Auth),
            (b" mlst size*;", Verb::Mlst),
            (b"REST STREAM", Verb::Rest),
            (b"LANG EN*;FR", Verb::Lang),
            (b"HOST", Verb::Host),
            (b"UTF8", Verb::Unknown),
            (b"TVFS", Verb::Unknown),
            (b"", Verb::Unknown),
        ] {
            assert_eq!(feature_verb(feature), verb, "{}", feature.escape_ascii());
        }
    }
}
