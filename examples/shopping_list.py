"""A shopping list that a family keeps together: each on their own device, also without a network.

    python examples/shopping_list.py ann.db --name Ann             # begins a list, and prints an invitation
    python examples/shopping_list.py ben.db lichen1... --name Ben  # joins it

Click a box to tick it off; + and - change how many, Delete takes away. The notes are one text that all write."""

from __future__ import annotations

import argparse
import tkinter
from functools import partial
from textwrap import TextWrapper
from tkinter import font, ttk

from lichen import Role, Text, checked_ticket, in_words, passphrase_of
from lichen.blocking import Document, Engine, Space
from lichen_adapters.orm import Synced, in_space, synced_counter
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.tk import Polling, SyncedText, TreeRows, quit_on_interrupt
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PAPER, INK, FADED, ACCENT, LINE = "#f5f2eb", "#2b2b28", "#a09d94", "#1f7a6d", "#e4e0d5"


class Base(DeclarativeBase): ...


class Item(Synced, Base):
    __tablename__ = "item"
    what: Mapped[str]
    done: Mapped[bool] = mapped_column(default=False)
    count: Mapped[int] = synced_counter(default=1)


class Window:
    """The list on the left, the notes on the right, and who is there below."""

    def __init__(self, root: tkinter.Tk, sessions: Sessions, space: Space, notes: Document, name: str) -> None:
        self.sessions, self.space, self.engine, self.name = sessions, space, notes.engine, name
        paint(root)
        root.title(f"{space.name} - {name}")
        root.minsize(600, 400)
        left, right = ttk.Frame(root, padding=(24, 20, 12, 8)), ttk.Frame(root, padding=(12, 20, 24, 8))
        for column, (frame, head) in enumerate(((left, space.name), (right, "Notes"))):
            ttk.Label(frame, text=head, font=("DejaVu Sans", 16, "bold")).pack(anchor="w", pady=(0, 10))
            frame.grid(row=0, column=3 * column, columnspan=3 - column, sticky="nsew")
        self.tree = ttk.Treeview(left, name="items", columns=("count",), show="tree", selectmode="browse", height=1)
        self.tree.column("count", width=44, stretch=False, anchor="e")
        self.tree.tag_configure("done", foreground=FADED)
        self.hint = ttk.Label(self.tree, text="What is missing?\nWrite it below.", background="white", foreground=FADED)
        self.hint.place(x=16, y=12)
        self.tree.pack(fill="both", expand=True)
        self.entry = ttk.Entry(left, name="what", font="TkDefaultFont")
        self.entry.pack(side="left", fill="x", expand=True, ipady=4, pady=(10, 0))
        ttk.Button(left, text="Add", width=5, command=self.add).pack(side="left", padx=(8, 0), pady=(10, 0))
        self.text = tkinter.Text(right, name="notes", width=16, height=1, wrap="word", relief="flat", padx=12, pady=10)
        self.text.configure(font="TkDefaultFont", foreground=INK, highlightbackground=LINE, highlightcolor=ACCENT)
        self.text.pack(fill="both", expand=True)
        self.status = ttk.Label(root, name="status", padding=(24, 4, 24, 14))
        self.status.grid(row=1, column=0, columnspan=5, sticky="w")
        root.rowconfigure(0, weight=1)
        root.columnconfigure((0, 1, 2, 3, 4), weight=1, uniform="fifth")
        self.entry.bind("<Return>", lambda _: self.add())
        self.tree.bind("<Button-1>", lambda event: self.tick(self.tree.identify_row(event.y)))
        for key, by in {"plus": 1, "minus": -1, "Delete": None}.items():
            self.tree.bind(f"<{key}>", partial(self.change, by))
        self.entry.focus()
        deliver = Polling(root)  # all that lichen tells comes on Tk's thread
        items = select(Item).where(in_space(Item, space)).order_by(Item.done, Item.what)
        self.rows = TreeRows(self.tree, sessions, items, self.shown, deliver)
        self.tree.bind("<Configure>", lambda _: self.rows.refresh())
        self.notes = SyncedText(self.text, notes, ("body",), deliver)
        self.engine.events().call(lambda _: self.tell_who_is_there(), deliver)
        self.tell_who_is_there()

    def shown(self, item: Item) -> dict[str, object]:
        self.hint.place_forget()
        box, tags = ("☑", ("done",)) if item.done else ("☐", ())
        text, wide = f" {box}   {item.what}", max(260, self.tree.winfo_width() - 60)
        fold = TextWrapper(wide // 5, subsequent_indent=" " * 7, max_lines=2, placeholder="…")
        while any(font.nametofont("TkDefaultFont").measure(line) > wide for line in fold.wrap(text)):
            fold.width -= 1
        return {"text": fold.fill(text), "values": (f"× {item.count}" if item.count != 1 else "",), "tags": tags}

    def tell_who_is_there(self) -> None:
        there = {self.space.name_of(path.device) for path in self.engine.paths(self.space.id) if path.path != "none"}
        names = f"●   {' and '.join(sorted(there))}" if there else "○   nobody else"
        text = f"{self.name}   {names} here\n{self.space.about}"
        self.status.configure(text=text.strip(), foreground=ACCENT if there else FADED)

    def add(self) -> None:
        with self.sessions.begin(self.space) as session:
            if what := self.entry.get().strip():
                session.add(Item(what=what))
        self.entry.delete(0, "end")

    def tick(self, row: str) -> None:
        with self.sessions.begin() as session:
            if row:
                session.get_one(Item, self.rows.row(row).id).done ^= True

    def change(self, by: int | None, _key: object) -> None:
        with self.sessions.begin() as session:
            for item in (session.get_one(Item, row.id) for row in self.rows.selected):
                if by is None or item.count + by < 1:
                    session.delete(item)
                else:
                    item.count += by


def paint(root: tkinter.Tk) -> None:
    root.configure(background=PAPER)
    font.nametofont("TkDefaultFont").configure(family="DejaVu Sans", size=11)
    (style := ttk.Style(root)).theme_use("clam")
    style.configure(".", background=PAPER, foreground=INK, bordercolor=LINE, lightcolor=LINE, darkcolor=LINE)
    style.configure("Treeview", rowheight=44, fieldbackground="white", background="white", indent=0)
    style.layout("Treeview.Item", [("Treeitem.padding", {"children": [("Treeitem.text", {"sticky": "nswe"})]})])
    style.map("Treeview", background=[("selected", "#e6f2ef")], foreground=[])
    style.configure("TButton", background=ACCENT, foreground="white", padding=(10, 6), borderwidth=0)
    style.map("TEntry", bordercolor=[("focus", ACCENT)], lightcolor=[("focus", ACCENT)])
    style.map("TButton", background=[("active", INK)])


@in_words()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type="sqlite:///{}".format, help="the file of this device")
    parser.add_argument("ticket", nargs="?", default="", type=checked_ticket, help="an invitation, to join a list")
    parser.add_argument("--name", default="Me", help="what the others call you, from the first start on")
    parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
    parser.add_argument("--own", action="store_true", help="show the list that this device began, if it joined others")
    given = parser.parse_intermixed_args()
    with Engine.open(given.store, passphrase=passphrase_of(given.store)) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        engine.connect_remembered()
        space = engine.open_space("Shopping", given.ticket, name=given.name, own=given.own, progress=print)
        if space.role == Role.OWNER:
            engine.listen(given.at or space.usual_address, required=bool(given.at))
            print(space.invite(mode="auto"), flush=True)
        notes = space.titled("Notes", {"body": Text("")})
        Window(root := tkinter.Tk(), sessions, space, notes, space.name_of(engine.device))
        quit_on_interrupt(root)
        root.mainloop()


if __name__ == "__main__":
    main()
