use opcua_types::StatusCode;

/// Why a server cannot be read from.
#[derive(Debug, thiserror::Error)]
pub enum OpcUaError {
    #[error("our own certificate: {0}")]
    Certificate(String),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the server offers no endpoint {wanted}, only {offered}")]
    Endpoint { wanted: String, offered: String },
    #[error(
        "the server's certificate is not trusted; look at it in {folder}, then set \
         server_thumbprint to {thumbprint}"
    )]
    Untrusted { thumbprint: String, folder: String },
    #[error("the server's certificate is another than the one of server_thumbprint: {0}")]
    Thumbprint(String),
    #[error("connection lost: {0}")]
    Lost(StatusCode),
    #[error("{what}: {reason}")]
    Service { what: &'static str, reason: String },
    #[error("no answer within {0} s")]
    Timeout(u64),
}

impl OpcUaError {
    pub(crate) fn service(what: &'static str) -> impl Fn(opcua_types::Error) -> Self {
        move |error| Self::Service { what, reason: error.to_string() }
    }
}
