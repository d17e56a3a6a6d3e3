//! A proxy that stands for the network: names lead to simulators or to canned answers, `https` is spoken with a certificate
//! of its own authority, and what was sent to whom is kept.
#![expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

/// Where a name leads.
#[derive(Clone, Debug)]
pub enum Route {
    /// To a server that speaks plain HTTP.
    To(SocketAddr),
    /// To one that gives this answer to every request.
    Say(String),
}

/// What was sent over one connection.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `https://mail.example.test`
    pub origin: String,
    pub text: String,
}

/// The proxy; it ends with the value.
pub struct Gateway {
    pub address: SocketAddr,
    /// PEM of the authority that signed the certificates.
    pub ca_file: PathBuf,
    sent: Arc<Mutex<Vec<Sent>>>,
    _folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    /// `routes` by origin: `https://mail.example.test`, `http://autodiscover.example.test`. Other names are not there.
    pub async fn start(routes: impl IntoIterator<Item = (&'static str, Route)>) -> Self {
        let routes: HashMap<String, Route> = routes.into_iter().map(|(name, route)| (name.to_owned(), route)).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let ca_file = folder.path().join("ca.pem");
        let hosts = routes.keys().filter_map(|origin| origin.strip_prefix("https://")).map(str::to_owned).collect();
        let acceptor = certified(hosts, &ca_file);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let shared = Arc::new(Shared { routes, acceptor, sent: sent.clone() });
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // A client that goes away in the middle is its own business.
                open.spawn(async move { shared.serve(stream).await.unwrap_or_default() });
            }
        });
        Self { address, ca_file, sent, _folder: folder, task }
    }

    /// As a client's proxy setting.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was sent, in the order of the connections.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no panic").clone()
    }

    /// What was sent to one origin.
    pub fn sent_to(&self, origin: &str) -> String {
        self.sent().into_iter().filter(|sent| sent.origin == origin).map(|sent| sent.text).collect()
    }
}

struct Shared {
    routes: HashMap<String, Route>,
    acceptor: TlsAcceptor,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let head = read_head(&mut stream).await?;
        let line = head.lines().next().unwrap_or_default().to_owned();
        let target = line.split(' ').nth(1).unwrap_or_default();
        if line.starts_with("CONNECT ") {
            let origin = format!("https://{}", target.trim_end_matches(":443"));
            if !self.routes.contains_key(&origin) {
                return stream
                    .write_all(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            }
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            let stream = self.acceptor.accept(stream).await?;
            return self.lead(origin, stream, String::new()).await;
        }
        let host = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let origin = format!("http://{host}");
        // What a server is asked by a proxy has no origin in its first line.
        let head = head.replacen(&origin, "", 1);
        self.lead(origin, stream, head).await
    }

    async fn lead<S>(&self, origin: String, mut stream: S, begun: String) -> std::io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let place = {
            let mut sent = self.sent.lock().expect("no panic");
            sent.push(Sent { origin: origin.clone(), text: begun.clone() });
            sent.len() - 1
        };
        let keep = |bytes: &[u8]| {
            self.sent.lock().expect("no panic")[place].text.push_str(&String::from_utf8_lossy(bytes));
        };
        match self.routes.get(&origin) {
            Some(Route::To(address)) => {
                let mut server = TcpStream::connect(address).await?;
                server.write_all(begun.as_bytes()).await?;
                let (mut to, mut back) = ([0; 16_384], [0; 16_384]);
                loop {
                    tokio::select! {
                        read = stream.read(&mut to) => match read? {
                            0 => return Ok(()),
                            count => { keep(&to[..count]); server.write_all(&to[..count]).await?; }
                        },
                        read = server.read(&mut back) => match read? {
                            0 => return stream.shutdown().await,
                            count => stream.write_all(&back[..count]).await?,
                        },
                    }
                }
            }
            Some(Route::Say(text)) => {
                if begun.is_empty() {
                    let head = read_head(&mut stream).await?;
                    keep(head.as_bytes());
                }
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await
            }
            None => {
                stream.write_all(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await
            }
        }
    }
}

/// The head of a request, and its body, if one is announced.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    bytes.extend(body);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn certified(hosts: Vec<String>, ca_file: &std::path::Path) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new([]).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // As strict clients want it: an authority with a name of its own, which says what it may do and is named by its key.
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Authority of a test");
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    std::fs::write(ca_file, ca.self_signed(&key).expect("a certificate").pem()).expect("written");
    let issuer = rcgen::Issuer::new(ca, key);
    let leaf_key = rcgen::KeyPair::generate().expect("a key");
    let mut leaf = rcgen::CertificateParams::new(hosts).expect("names");
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&leaf_key, &issuer).expect("signed");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.serialize_der().try_into().expect("a key"))
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}
