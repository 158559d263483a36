// One websocket for all that a page follows; when it is lost, it is opened again, and everything goes on.

const connections = new Map();

class Connection {
  followed = new Map();
  last = 0;
  pause = 200;

  constructor(url) {
    this.url = url;
  }

  follow(one) {
    const id = ++this.last;
    this.followed.set(id, one);
    one.send = (message) => this.socket?.readyState === 1 && (this.socket.send(JSON.stringify({ id, ...message })), true);
    if (!this.socket) this.open();
    else if (this.socket.readyState === 1) one.begin();
    return () => {
      if (!this.followed.delete(id)) return;
      one.send({ do: "end" });
      if (!this.followed.size) this.close();
    };
  }

  open() {
    const url = new URL(this.url + "/socket", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    socket.onopen = () => this.each((one) => one.begin());
    socket.onmessage = ({ data }) => {
      this.pause = 200; // a page may also be refused once it is open
      const { id, ...message } = JSON.parse(data);
      const one = this.followed.get(id);
      if (!message.error || message.refused) return one?.told(message);
      one?.lost();
      one?.failed(message.error, !message.again);
      if (message.again) setTimeout(() => socket.readyState === 1 && this.followed.get(id)?.begin(), 3000);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.socket !== socket) return;
      this.each((one) => one.lost());
      const hint = code === 4403 ? "open the address that the program shows" : "";
      const error = { type: "Closed", message: reason || "a message of this page is too long", hint };
      if ([1009, 4400, 4403].includes(code)) {
        connections.delete(this.url); // what is followed from now on begins anew
        this.each((one) => one.failed(error, true));
      } else this.timer = setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(2 * this.pause, 5000);
    };
  }

  close() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    socket.close();
    if (connections.get(this.url) === this) connections.delete(this.url);
  }

  each(call) {
    for (const one of [...this.followed.values()]) guarded(call)(one);
  }
}

// Begin to follow one thing at an address; returns what ends that. `one` has begin(), told(message), lost() and
// failed(error, final), and is given send(message).
export function follow(url, one) {
  if (!connections.has(url)) connections.set(url, new Connection(url));
  return connections.get(url).follow(one);
}

export const complain = (error) => console.error(`lichen: ${error.message}`, error);

// A callback of the page's, whose exceptions are the page's too: they stop nothing here.
export const guarded = (call) => (...given) => {
  try {
    call(...given);
  } catch (error) {
    reportError(error);
  }
};
