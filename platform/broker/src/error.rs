use rumqttc::DisconnectReasonCode;

/// Why a connection is ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Breach {
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("malformed packet: {0}")]
    Malformed(String),
    #[error("{0}")]
    Protocol(&'static str),
    #[error("a packet larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("`{0}` is no topic to publish to")]
    Topic(String),
    #[error("MQTT {0} is not spoken here; 3.1.1 and 5 are")]
    Version(u8),
    #[error("no login within {0} s")]
    NoLogin(u64),
    #[error("wrong user or key")]
    NotAuthenticated,
    #[error("logins cannot be checked now: {0}")]
    Unverified(String),
    #[error("silent for longer than its keep alive")]
    Silent,
    #[error("the same client connected anew")]
    TakenOver,
    #[error("it reads too slowly")]
    SlowReader,
    #[error("the broker stops")]
    Stopping,
}

impl Breach {
    /// What a client of version 5 is told.
    pub(crate) fn reason(&self) -> Option<DisconnectReasonCode> {
        use DisconnectReasonCode as Code;
        Some(match self {
            Self::Io(_) | Self::NoLogin(_) | Self::Version(_) => return None,
            Self::NotAuthenticated | Self::Unverified(_) => return None,
            Self::Malformed(_) => Code::MalformedPacket,
            Self::Protocol(_) => Code::ProtocolError,
            Self::TooLarge { .. } => Code::PacketTooLarge,
            Self::Topic(_) => Code::TopicNameInvalid,
            Self::Silent => Code::KeepAliveTimeout,
            Self::TakenOver => Code::SessionTakenOver,
            Self::SlowReader => Code::QuotaExceeded,
            Self::Stopping => Code::ServerShuttingDown,
        })
    }

    /// Whether it says something about the client that people should see.
    pub(crate) fn is_notable(&self) -> bool {
        !matches!(self, Self::Io(_) | Self::Stopping | Self::TakenOver)
    }
}
