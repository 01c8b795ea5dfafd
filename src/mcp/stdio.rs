//! An assistant at standard input and output: the protocol of one client that started the program.

use super::AssistantServer;
use super::host::{AssistantQuestion, QuestionGround, QuestionHost, ToolFault, within_engine};
use super::reply::ToolReply;
use rmcp::service::{ServerInitializeError, serve_server};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tombolo::answers::{AnswerError, ErrorKind};
use tombolo::db::Database;
use tombolo::limits::QuestionLimits;

/// Threads that may answer questions at once.
const READS: usize = 8;
/// Time that a question is given to end when the client has gone.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Asks questions of a database on this machine, on behalf of whoever started the program.
pub struct LocalHost {
    /// The database.
    pub database: Arc<Database>,
    /// The folder of the mapping files.
    pub mappings: PathBuf,
    /// The limits of one question.
    pub limits: QuestionLimits,
    /// The exit code that the program ends with for an error.
    pub exit_code: fn(&AnswerError) -> u8,
}

/// Somebody waits for an answer as long as this lives; then the question stops.
struct WaitingClient(Arc<AtomicBool>);

impl Drop for WaitingClient {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl QuestionHost for LocalHost {
    async fn ask(&self, question: AssistantQuestion) -> Result<ToolReply, ToolFault> {
        let waiting = WaitingClient(Arc::default());
        let limits =
            QuestionLimits { cancelled: Some(Arc::clone(&waiting.0)), ..self.limits.clone() };
        let (database, mappings) = (Arc::clone(&self.database), self.mappings.clone());
        let exit_code = self.exit_code;
        let asked = tokio::task::spawn_blocking(move || {
            let ground = QuestionGround {
                database: &database,
                limits,
                mappings: &mappings,
                takes_text: true,
                exit_code,
            };
            within_engine(|| question(&ground))
        });
        match asked.await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                let error = AnswerError::new(ErrorKind::Failed, "the question ended unexpectedly");
                Err(error.into())
            }
        }
    }
}

/// Speaks with the client at standard input until it closes it.
///
/// # Errors
///
/// What the system refuses, and words of a client that are not those of the protocol.
pub fn serve_stdio(host: LocalHost) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(READS + 2)
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        // The lock of standard output belongs to the command line as long as the program runs, so the
        // answers go to the file below it.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let transport = (tokio::io::stdin(), tokio::fs::File::from_std(out));
        match serve_server(AssistantServer::new(host), transport).await {
            Ok(service) => service.waiting().await.map(drop).map_err(io::Error::other),
            // A client that goes before it says anything wanted nothing.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(e) => Err(io::Error::other(e.to_string())),
        }
    });
    // A read of standard input cannot be taken back, and nobody waits for it.
    runtime.shutdown_timeout(STOP_TIME);
    done
}
