//! "Did you mean ...?"

/// Returns the candidate that `word` was most likely meant to be.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let plain = simplify(word);
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain, &simplify(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the kind of separator are not what tells words apart.
fn simplify(word: &str) -> Vec<char> {
    word.chars()
        .take(64)
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Counts the letters to insert, delete, change or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_mistakes_find_their_word() {
        let keys = [
            "listen",
            "upstream",
            "data_source_port",
            "advertise",
            "peer",
        ];
        for (typed, meant) in [
            ("listne", "listen"),
            ("Listen", "listen"),
            ("data-source-port", "data_source_port"),
            ("advertize", "advertise"),
            ("upstreams", "upstream"),
            ("per", "peer"),
        ] {
            assert_eq!(nearest(typed, keys), Some(meant), "{typed}");
        }
    }

    #[test]
    fn other_words_find_none() {
        assert_eq!(nearest("certificate", ["listen", "peer"]), None);
        assert_eq!(nearest("", ["listen", "peer"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_swap_is_one_mistake() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters("ab"), &letters("ba")), 1);
        assert_eq!(distance(&letters("listen"), &letters("listne")), 1);
        assert_eq!(distance(&letters("abc"), &letters("")), 3);
    }
}
