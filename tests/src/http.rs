//! The HTTP client of the tests' own wire clients. Cheap to make: it reads no root certificates, as it never meets TLS.

/// A client for `http://` addresses.
///
/// # Panics
/// If the machine has none to give.
#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves, independent of the product's client")]
pub fn plain() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false);
    builder.build().expect("an HTTP client")
}
