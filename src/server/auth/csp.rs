//! What the identity provider's script needs of the Content-Security-Policy.

/// Content-Security-Policy sources for the identity provider, appended to our own.
#[derive(Debug, Default, PartialEq)]
pub struct CspSources {
    /// Sources for `script-src`, each after a space.
    pub script: String,
    /// Sources for `style-src`, each after a space.
    pub style: &'static str,
    /// Sources for `img-src`, each after a space.
    pub image: &'static str,
    /// Sources for `connect-src`, each after a space.
    pub connect: String,
    /// Whole directives.
    pub extra_directives: &'static str,
}
