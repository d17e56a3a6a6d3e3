//! Autodiscover in both forms: SOAP GetUserSettings (MS-OXWSADISC) and POX (MS-OXDSCLI).
//!
//! The address it tells is the one it was asked at: with a port over HTTP, since nothing here speaks TLS; without one over
//! HTTPS, since then something in front does. Must not know: EWS operations.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Role;
use super::store::{Account, World};
use super::xml::{self, Element, Read, Xml};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SPACE: &str = "http://schemas.microsoft.com/exchange/2010/Autodiscover";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const POX: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
const POX_OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

/// Answers GetUserSettings for every user that is asked about.
pub fn soap(world: &World, headers: &HeaderMap, text: &str) -> Response {
    let Some(document) = xml::read(text).ok() else { return StatusCode::BAD_REQUEST.into_response() };
    let request = (|| {
        let message = document.root_element().kid("Body")?.kids().next()?;
        message.kid("Request").filter(|_| message.local() == "GetUserSettingsRequestMessage")
    })();
    let Some(request) = request else { return StatusCode::BAD_REQUEST.into_response() };
    let list =
        |name: &str| -> Vec<Element<'_>> { request.kid(name).map(|list| list.kids().collect()).unwrap_or_default() };
    let settings: Vec<String> =
        list("RequestedSettings").iter().map(|setting| setting.content().trim().to_owned()).collect();
    let mut xml = Xml::new();
    xml.element("s:Envelope", &[("xmlns:s", SOAP), ("xmlns:a", "http://www.w3.org/2005/08/addressing")], |xml| {
        xml.open("s:Header", |xml| {
            xml.text("a:Action", format_args!("{SPACE}/Autodiscover/GetUserSettingsResponse"));
            xml.element("h:ServerVersionInfo", &[("xmlns:h", SPACE), ("xmlns:i", XSI)], |xml| {
                for (name, value) in
                    [("MajorVersion", 15), ("MinorVersion", 2), ("MajorBuildNumber", 1544), ("MinorBuildNumber", 4)]
                {
                    xml.text(&format!("h:{name}"), value);
                }
                xml.text("h:Version", "Exchange2016");
            });
        });
        xml.open("s:Body", |xml| {
            xml.element("GetUserSettingsResponseMessage", &[("xmlns", SPACE), ("xmlns:i", XSI)], |xml| {
                xml.open("Response", |xml| {
                    said(xml, "NoError", "No error.");
                    xml.open("UserResponses", |xml| {
                        for user in list("Users") {
                            let address = user.kid_text("Mailbox").unwrap_or_default();
                            user_response(world, headers, address.trim(), &settings, xml);
                        }
                    });
                });
            });
        });
    });
    answer(xml)
}

/// Answers the older form.
pub fn pox(world: &World, headers: &HeaderMap, text: &str) -> Response {
    let Some(document) = xml::read(text).ok() else { return StatusCode::BAD_REQUEST.into_response() };
    let request = document.root_element().kid("Request");
    let Some(address) = request.and_then(|request| request.kid_text("EMailAddress")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut xml = Xml::new();
    xml.element("Autodiscover", &[("xmlns", POX)], |xml| match user(world, address.trim()) {
        None => xml.open("Response", |xml| {
            xml.element("Error", &[("Time", "00:00:00"), ("Id", "0")], |xml| {
                xml.text("ErrorCode", 500);
                xml.text("Message", "The e-mail address cannot be found.");
                xml.text("DebugData", "");
            });
        }),
        Some((account, true)) => xml.element("Response", &[("xmlns", POX_OUTLOOK)], |xml| {
            xml.open("User", |xml| {
                xml.text("DisplayName", &account.name);
                xml.text("AutoDiscoverSMTPAddress", &account.address);
            });
            xml.open("Account", |xml| {
                xml.text("AccountType", "email");
                xml.text("Action", "settings");
                for kind in ["EXCH", "EXPR"] {
                    xml.open("Protocol", |xml| {
                        xml.text("Type", kind);
                        xml.text("AuthPackage", "Ntlm");
                        xml.text("EwsUrl", ews_url(headers));
                    });
                }
            });
        }),
        // Another address of the same mailbox: ask for the primary one.
        Some((account, false)) => xml.element("Response", &[("xmlns", POX_OUTLOOK)], |xml| {
            xml.open("Account", |xml| {
                xml.text("Action", "redirectAddr");
                xml.text("RedirectAddr", &account.address);
            });
        }),
    });
    answer(xml)
}

fn user_response(world: &World, headers: &HeaderMap, address: &str, settings: &[String], xml: &mut Xml) {
    xml.open("UserResponse", |xml| match user(world, address) {
        None => {
            said(xml, "InvalidUser", "Invalid user.");
            xml.element("RedirectTarget", &[("i:nil", "true")], |_| {});
            xml.open("UserSettingErrors", |_| {});
            xml.open("UserSettings", |_| {});
        }
        Some((account, false)) => {
            said(xml, "RedirectAddress", "Redirection address.");
            xml.text("RedirectTarget", &account.address);
            xml.open("UserSettingErrors", |_| {});
            xml.open("UserSettings", |_| {});
        }
        Some((account, true)) => {
            said(xml, "NoError", "No error.");
            xml.element("RedirectTarget", &[("i:nil", "true")], |_| {});
            xml.open("UserSettingErrors", |_| {});
            xml.open("UserSettings", |xml| {
                for name in settings {
                    let value = match name.as_str() {
                        "ExternalEwsUrl" | "InternalEwsUrl" => ews_url(headers),
                        "UserDisplayName" => account.name.clone(),
                        "AutoDiscoverSMTPAddress" => account.address.clone(),
                        "GroupingInformation" => "Default-First-Site-Name".to_owned(),
                        "EwsSupportedSchemas" => "Exchange2013, Exchange2013_SP1, Exchange2016".to_owned(),
                        _ => continue,
                    };
                    xml.element("UserSetting", &[("i:type", "StringSetting")], |xml| {
                        xml.text("Name", name);
                        xml.text("Value", value);
                    });
                }
            });
        }
    });
}

fn said(xml: &mut Xml, code: &str, message: &str) {
    xml.text("ErrorCode", code);
    xml.text("ErrorMessage", message);
}

/// The user of an address, and whether it is the primary one.
fn user<'a>(world: &'a World, address: &str) -> Option<(&'a Account, bool)> {
    let (position, is_primary) = world.account_of(address)?;
    Some((world.accounts.get(position).filter(|account| account.role == Role::User)?, is_primary))
}

fn ews_url(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme = if host.contains(':') { "http" } else { "https" };
    format!("{scheme}://{host}{}", super::EWS_PATH)
}

fn answer(xml: Xml) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{}", xml.into_string());
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}
