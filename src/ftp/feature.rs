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

/// Gives the feature in an inner line; some servers write `211-` before each.
fn feature_of(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"211-").unwrap_or(line).trim_ascii()
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
