//! One connection and what can go wrong on it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::slave::SlaveContext;
use tokio_modbus::{ExceptionCode, Request, Response, Slave};

use super::map::Table;
use super::plan::Group;

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("{0}")]
    Exception(Exception),
}

/// What a device answers instead of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exception(ExceptionCode);

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exception {}: {}", u8::from(self.0), self.0)
    }
}

impl Exception {
    /// Whether other registers of the same request may well be there.
    pub(super) fn is_about_registers(self) -> bool {
        matches!(
            self.0,
            ExceptionCode::IllegalDataAddress
                | ExceptionCode::IllegalDataValue
                | ExceptionCode::ServerDeviceFailure
                | ExceptionCode::MemoryParityError
        )
    }

    /// Whether the whole unit is away behind its gateway.
    pub(super) fn is_about_unit(self) -> bool {
        matches!(self.0, ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice)
    }
}

pub(super) struct Line {
    context: Context,
    timeout: Duration,
}

impl Line {
    pub(super) async fn open(host: &str, port: u16, timeout: Duration) -> Result<Self, LineError> {
        let connected = tokio::time::timeout(timeout, TcpStream::connect((host, port))).await;
        let stream = connected
            .map_err(|_| {
                LineError::Connect(format!("no answer within {} ms", timeout.as_millis()))
            })?
            .map_err(|error| LineError::Connect(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| LineError::Connect(error.to_string()))?;
        Ok(Self::over(stream, timeout))
    }

    pub(super) fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug + 'static,
        timeout: Duration,
    ) -> Self {
        Self { context: tcp::attach(stream), timeout }
    }

    /// The words of a group; bits count as words of 0 and 1.
    pub(super) async fn read(&mut self, group: &Group) -> Result<Vec<u16>, LineError> {
        self.context.set_slave(Slave(group.unit));
        let (first, count) = (group.first, group.count);
        let request = match group.table {
            Table::Holding => Request::ReadHoldingRegisters(first, count),
            Table::Input => Request::ReadInputRegisters(first, count),
            Table::Coil => Request::ReadCoils(first, count),
            Table::Discrete => Request::ReadDiscreteInputs(first, count),
        };
        let answer = tokio::time::timeout(self.timeout, self.context.call(request)).await;
        let answer = answer.map_err(|_| LineError::Timeout(self.timeout))?;
        let answer = answer.map_err(|error| match error {
            // The library says the last fault of the system when the peer just closes.
            tokio_modbus::Error::Transport(error) if error.raw_os_error().is_some() => {
                LineError::Lost(format!("closed by the device ({error})"))
            }
            other => LineError::Lost(other.to_string()),
        })?;
        let response = answer.map_err(|code| LineError::Exception(Exception(code)))?;
        let words = match response {
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => words,
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
                bits.into_iter().map(u16::from).collect()
            }
            _ => return Err(LineError::Lost("an answer to another question".to_owned())),
        };
        if words.len() < usize::from(count) {
            let reason = format!("{} of {count} registers in the answer", words.len());
            return Err(LineError::Lost(reason));
        }
        Ok(words)
    }
}
