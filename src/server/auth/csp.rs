//! What the identity provider's script needs of the Content-Security-Policy.

/// Content-Security-Policy sources for the identity provider, appended to our own.
#[derive(Debug, Default, PartialEq)]
pub struct CspSources {
    pub script: String,
    pub style: &'static str,
    pub image: &'static str,
    pub connect: String,
    /// Whole directives.
    pub extra_directives: &'static str,
}
