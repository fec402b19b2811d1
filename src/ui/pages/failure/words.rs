//! The words of the page in place of one that failed.

pub const TITLE: &str = "Something went wrong";
pub const WHAT_HAPPENED: &str =
    "Evergrant couldn't answer this request. Your connections keep working. Try again in a moment.";
pub const GIVE_THIS_REFERENCE: &str = "If this keeps happening, give your administrator this reference:";
pub const SIGN_OUT: &str = "Sign out";
pub const SIGN_IN: &str = "Sign in";
pub const TRY_AGAIN: &str = "Try again";
