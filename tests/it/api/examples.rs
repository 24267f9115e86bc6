//! The examples of docs/api.md, sent to a real server: each is answered with the status that stands behind it.

use super::rights::furnish;
use super::{Served, on_both};
use crate::given::{camt, day, line, statement};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");

/// Words of a command line, with quotes of both kinds; what stands behind # is one more, with its #.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ') => words.extend(Some(std::mem::take(&mut word)).filter(|w| !w.is_empty())),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words
}

#[test]
fn the_examples_of_the_page_are_answered_as_it_says() {
    on_both(|test| {
        let served = Served::on(test);
        furnish(&served);
        let (_, token) = served.person("reader", &[("treasurer", "all")]);
        let page = std::fs::read_to_string(PAGE).expect("the page").replace("de-eur", "m00");
        let mut sent = 0;
        for command in page.lines().filter(|l| l.starts_with("curl ")) {
            let words = words(command);
            let (mut method, mut headers, mut body, mut url) =
                ("GET".to_owned(), Vec::new(), Vec::new(), String::new());
            let mut rest = words[1..words.len() - 2].iter();
            while let Some(word) = rest.next() {
                let mut value = || rest.next().expect("a value").clone();
                match word.as_str() {
                    "-X" => method = value(),
                    "-H" => headers.push(value().replace("$KEY", &token)),
                    "-d" => body = value().into_bytes(),
                    "--data-binary" => {
                        let file = value();
                        body = if file == "@rates.csv" {
                            b"date,base,currency,rate\n2026-03-02,EUR,USD,1.1\n".to_vec()
                        } else {
                            camt("M9", &[statement(1, "S9", 1, (2, 2), &[line(day(2), 100, "tiktok order 9")])])
                        };
                    }
                    address => url = address.replace("$TRIBUTARY", &format!("http://{}", served.address())),
                }
            }
            let mut request = ureq::http::Request::builder().method(method.as_str()).uri(&url);
            for header in &headers {
                let (name, value) = header.split_once(": ").expect("a header");
                request = request.header(name, value);
            }
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.run(request.body(body).expect("a request")).expect("answered");
            let text = response.body_mut().read_to_string().expect("text");
            let expected = words.last().expect("a status");
            assert_eq!(&response.status().as_u16().to_string(), expected, "{command}: {text}");
            sent += 1;
        }
        assert!(sent > 10, "{sent} examples only");
    });
}
