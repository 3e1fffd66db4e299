//! Enums whose variants have names on the wire.

/// A type whose values have names on the wire.
pub trait Named: Sized + 'static {
    /// The names, in order.
    const NAMES: &'static [&'static str];

    /// The value of that name.
    fn named(name: &str) -> Option<Self>;

    /// Its name.
    fn name(self) -> &'static str;

    /// The value of that name, ignoring case.
    fn in_any_case(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|of| of.eq_ignore_ascii_case(name)).and_then(|of| Self::named(of))
    }
}

/// Declares such an enum: each variant with its name, so that reading and writing use the same list.
macro_rules! named {
    ($(#[$meta:meta])* pub enum $Enum:ident { $($(#[$of:meta])* $Variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $Enum {
            $($(#[$of])* $Variant,)+
        }

        impl $Enum {
            /// All of them, in order.
            pub const ALL: [$Enum; [$($Enum::$Variant),+].len()] = [$($Enum::$Variant),+];

            /// Its name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $($Enum::$Variant => $text,)+
                }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<$Enum> {
                $Enum::ALL.into_iter().find(|of| of.name() == name)
            }
        }

        impl $crate::domain::named::Named for $Enum {
            const NAMES: &'static [&'static str] = &[$($text),+];

            fn named(name: &str) -> Option<$Enum> {
                $Enum::parse(name)
            }

            fn name(self) -> &'static str {
                $Enum::name(self)
            }
        }
    };
}
pub(crate) use named;
