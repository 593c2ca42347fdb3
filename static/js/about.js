// Puts both chats of the about page to work.

import { Both } from "./both.js";
import { Budget } from "./budget.js";
import { KafkaChat } from "./kafka-chat.js";
import { Tabs } from "./tabs.js";
import { WsChat } from "./ws-chat.js";

new Tabs(document.getElementById("chats"));
const chats = [new KafkaChat(document.getElementById("kafka-chat")), new WsChat(document.getElementById("ws-chat"))];
new Both(...chats.map((chat) => chat.composer));
new Budget(...chats);
