// What the page and the local program say to each other.

export interface NoteInfo {
  id: string;
  title: string;
  changed: number;
}

export interface Peer {
  device: string;
  name: string;
  colour: string;
  path: string;
  via: "direct" | "relay" | "none";
}

export interface Space {
  id: string;
  name: string;
  role: string;
  colour: string;
  notes: NoteInfo[];
  peers: Peer[];
}

export interface State {
  type: "state";
  device: string;
  name: string;
  spaces: Space[];
  relays: { url: string; state: string; error: string }[];
  upToDate: boolean;
}

export interface Person {
  device: string;
  name: string;
  colour: string;
  anchor: number | null;
  head: number | null;
}

export interface RemoteUpdate {
  clientID: string;
  changes: unknown;
}

export type FromProgram =
  | State
  | {
      type: "note";
      note: string;
      epoch: string;
      version: number;
      text: string;
      title: string;
      heads: string[];
      saved: number;
    }
  | { type: "updates"; note: string; epoch: string; from: number; updates: RemoteUpdate[]; heads: string[] }
  | { type: "pushed"; note: string; taken: boolean; version: number; heads: string[] }
  | { type: "title"; note: string; title: string }
  | { type: "people"; note: string; people: Person[] }
  | { type: "error"; note: string; message: string; hint: string };

export class Refusal extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

/** What went wrong, and what to do about it, for a person to read. */
export function reason(error: unknown): string {
  const { message, hint } = error as { message?: string; hint?: string };
  return [message || String(error), hint].filter(Boolean).map((said) => said![0]!.toUpperCase() + said!.slice(1)).join(". ");
}

/** Ask the program for something. Throws `Refusal` with what it says when it will not. */
export async function ask<T>(path: string, body?: object): Promise<T> {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const value = await answer.json();
  if (!answer.ok) throw new Refusal(value.error?.message ?? "that did not work", value.error?.hint ?? "");
  return value as T;
}

/** The socket to the program: opens again whenever it is lost. */
export class Live {
  private socket: WebSocket | undefined;
  private pause = 200;

  constructor(
    private readonly received: (message: FromProgram) => void,
    private readonly changed: (open: boolean) => void,
  ) {
    this.connect();
  }

  get open(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(message: object): boolean {
    if (!this.open) return false;
    this.socket!.send(JSON.stringify(message));
    return true;
  }

  private connect(): void {
    const socket = new WebSocket(`ws://${location.host}/live`);
    this.socket = socket;
    socket.onopen = () => {
      this.pause = 200;
      this.changed(true);
    };
    socket.onmessage = (event) => this.received(JSON.parse(event.data) as FromProgram);
    socket.onclose = () => {
      this.changed(false);
      setTimeout(() => this.connect(), this.pause);
      this.pause = Math.min(this.pause * 2, 5000);
    };
  }
}
