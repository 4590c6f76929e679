//! As little HTTP as a load generator can do with: what it spends is taken from the servers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};

const TIMEOUT: Duration = Duration::from_secs(120);

/// One connection that stays open.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    head: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Seconds that the server asks to wait.
    pub(crate) retry_after: Option<f64>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(port: u16, token: Option<&str>) -> anyhow::Result<Self> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(TIMEOUT))?;
        let reader = BufReader::new(writer.try_clone()?);
        let token = token.map(|t| format!("Authorization: Token {t}\r\n")).unwrap_or_default();
        let head = format!("Host: 127.0.0.1:{port}\r\n{token}");
        Ok(Self { reader, writer, head })
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        self.call("POST", path, &[], body)
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.call("GET", path, &[], &[])
    }

    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n{}", self.head);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        if body.len() < 16_384 {
            let mut whole = head.into_bytes();
            whole.extend_from_slice(body);
            self.writer.write_all(&whole)?;
        } else {
            self.writer.write_all(head.as_bytes())?;
            self.writer.write_all(body)?;
        }
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no status line")?.parse()?;
        let (mut length, mut chunked, mut retry_after) = (0, false, None);
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the connection ended within the head of an answer");
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "retry-after" => retry_after = value.parse().ok(),
                _ => {}
            }
        }
        let body = if chunked { self.chunks()? } else { self.exactly(length)? };
        Ok(Answer { status, retry_after, body })
    }

    fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).context("no chunk size")?;
            body.extend(self.exactly(size)?);
            self.reader.read_line(&mut line)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}
