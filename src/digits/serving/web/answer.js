// The server's answer about a picture. Rejects with the server's code, if it has one.

export async function ask(body, signal) {
  const headers = { "Content-Type": body.type.startsWith("image/") ? body.type : "application/octet-stream" };
  const address = body instanceof File ? "predict?steps=1" : "predict";
  const response = await fetch(address, { method: "POST", body, headers, signal });
  if (response.ok) return response.json();
  const { detail } = await response.json().catch(() => ({}));
  const error = new Error(`The server says: ${detail ?? response.statusText}`);
  error.code = response.status;
  throw error;
}
