//! The macro for closed lists of words: an enum, and the contract's word of each value. Must not know any list. Called
//! by `zenei-wire`, `zenei-detect` and `zenei-incident` for their lists.

/// Makes an enum of a closed list of words. Gives it `ALL`, `WORDS`, `place` and `at` (every value, in the order of the
/// list), `as_str` (the word), `parse` (the value of a word; `None` where the list has no such word) and `Display` (the
/// word); serde writes and reads the word. The caller's crate needs serde with its macros.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name { $($(#[$vdoc])* #[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant),+ }
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The contract's words, in the order of `ALL`.
            pub const WORDS: &'static [&'static str] = &[$($text),+];
            /// Its place in `ALL`.
            pub const fn place(self) -> u8 {
                self as u8
            }
            /// The value at a place of `ALL`; `None` beyond the last.
            pub fn at(place: u8) -> Option<Self> {
                Self::ALL.get(usize::from(place)).copied()
            }
            /// The contract's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// The value of this word; `None` where the contract has no such word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
