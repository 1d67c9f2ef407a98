//! Values that are one word out of a few.
//!
//! One macro declares the enum, its words in the file and its schema, so that the three cannot drift apart.

/// Is one of a fixed set of words in the configuration.
pub trait Choice: Copy + Sized + 'static {
    /// Every word with the value that it means, in the order in which errors and help list them.
    const WORDS: &'static [(&'static str, Self)];

    /// Returns the value that `word` means.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, value)| *value)
    }
}

/// Declares an enum whose variants are words of the configuration.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $word)] $variant, )+
        }

        impl $crate::yaml::choice::Choice for $name {
            const WORDS: &'static [(&'static str, Self)] = &[ $( ($word, Self::$variant), )+ ];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $( Self::$variant => $word, )+ })
            }
        }
    };
}
pub(crate) use choice;
